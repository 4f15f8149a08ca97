"""The engine's parts with the published shapes, without numbers, on a pretended GPU: shapes, precisions, captures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapters.qwen3_tts.frames import SAMPLES_PER_FRAME
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.model.prompt import Prompt
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from tests.unit.adapters.qwen3_tts.pretended import pretended_gpu
from tests.unit.adapters.qwen3_tts.published_shapes import published_codec, published_weights
from tests.unit.pretended_cuda import PretendedCuda
from tools.tiny_models.shapes import Parameters


@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
def test_frames_and_audio_of_the_published_shapes_are_captured(size: Parameters, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    with pretended_gpu(PretendedCuda("meta")) as cuda, torch.inference_mode():
        weights = published_weights(tmp_path, size, "cuda:0")
        stepper = FrameStepper(weights, slots=1, positions=256)
        codec = StreamingCodec(CodecDecoder(published_codec(size, "cuda:0"), torch.float16), slots=1)
        stepper.capture(lambda *progress: done.append(progress))
        codec.capture((2, 12), lambda *progress: done.append(progress))
        prompt = torch.zeros(40, weights.codec_head.shape[1], dtype=torch.bfloat16, device="cuda:0")
        stepper.start(0, Prompt(prompt, prompt[:1]), SamplingParams())
        torch.cuda.synchronize()
        cuda.driver.waits.clear()
        frames = stepper.step([0])
        with codec._on_stream():
            audio = codec._samples_of(codec._input(1, 12))
    assert frames.codes.shape == (1, 16)
    assert (audio.shape, audio.dtype) == ((1, 12 * SAMPLES_PER_FRAME), torch.float32)
    assert cuda.driver.captured == 2 + 3 + 2
    assert done[-1] == (2, 2)
    assert cuda.driver.breaches == []
    assert not cuda.driver.waits
