"""The published package with the same weights and number of frames: single requests, and batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock.package_model import PackageModel
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step
from benchmarks.gpu.timing import synchronize
from tritone.contract import SPEECH_RATE

BATCHES = (1, 8, 32)


def steps(rig: Rig) -> Iterator[Step]:
    """Measure batches. The package gives no audio before the end, so the time to first audio is the whole time."""
    torch.backends.cuda.enable_cudnn_sdp(True)  # torch's default, which our engine turns off
    model = PackageModel.load(rig.checkpoint, Runtime(rig.options.device, rig.options.dtype, "sdpa"))
    with torch.inference_mode():
        _measure(rig, model, 1, 4)
        for n in rig.options.pick(BATCHES, (1, 2)):
            yield Step(f"{n}", 20, partial(_measure, rig, model, n, rig.options.pick(50, 10)))


def _measure(rig: Rig, model: PackageModel, n: int, frames: int) -> dict[str, Any]:
    requests = [rig.input_processor.check(rig.request(index, frames)) for index in range(n)]
    synchronize(rig.device)
    started = time.perf_counter()
    waves, _ = model.generate_custom_voice(
        text=[each.text for each in requests],
        speaker=[each.speaker for each in requests],
        language=[each.language for each in requests],
        max_new_tokens=frames + 1,
    )
    synchronize(rig.device)
    seconds = time.perf_counter() - started
    audio = sum(len(wave) for wave in waves) / SPEECH_RATE
    return {
        "frames": frames,
        "rtf": round(seconds / (audio / n), 4),
        "times_real_time": round(audio / seconds, 2),
        "ttfa_ms": round(1e3 * seconds, 1),
    }
