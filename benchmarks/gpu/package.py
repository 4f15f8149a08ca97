"""The published package on the same weights and for as many frames: one request at a time, and batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock import StockModel
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step
from benchmarks.gpu.timing import synchronize
from tritone.contract import SPEECH_RATE

BATCHES = (1, 8, 32)


def steps(rig: Rig) -> Iterator[Step]:
    """It gives no audio before the end, so that its time to first audio is all of its time."""
    torch.backends.cuda.enable_cudnn_sdp(True)  # as torch has it by itself; our engine has not
    model = StockModel.load(rig.checkpoint, Runtime(rig.options.device, rig.options.dtype, "sdpa"))
    with torch.inference_mode():
        _speak(rig, model, 1, 4)
        for n in rig.options.pick(BATCHES, (1, 2)):
            yield Step(f"{n}", 20, partial(_speak, rig, model, n, rig.options.pick(50, 10)))


def _speak(rig: Rig, model: StockModel, n: int, frames: int) -> dict[str, Any]:
    asked = [rig.preparation.utterance(rig.request(index, frames)) for index in range(n)]
    synchronize(rig.device)
    started = time.perf_counter()
    waves, _ = model.generate_custom_voice(
        text=[each.text for each in asked],
        speaker=[each.speaker for each in asked],
        language=[each.language for each in asked],
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
