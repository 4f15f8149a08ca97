"""The engine on a pretended GPU, from the files of a checkpoint to audio: streams, copies, captures and precisions."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import triton_python_backend_utils as pb_utils

from adapters.inflight.audio_collector import AudioCollector
from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.io.voice_cache import ClonedVoice
from adapters.qwen3_tts.inflight.loading import load_engine
from adapters.qwen3_tts.inflight.model import fused_backend, stepper
from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import ChunkSchedule
from adapters.qwen3_tts.inflight.settings import EngineSettings
from adapters.qwen3_tts.runtime import Runtime
from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.qwen3_tts.pretended import pretended_gpu, write_small
from tests.unit.pretended_cuda import PretendedCuda
from tritone.contract import SpeechOptions

SETTINGS = EngineSettings.read("cuda:0", {"QWEN_SLOTS": "2", "QWEN_KV_POSITIONS": "96", "QWEN_PROFILE": "latency"})
SMALLEST = replace(
    EngineSettings.read("cuda:0", {"QWEN_SLOTS": "1", "QWEN_KV_POSITIONS": "64"}), chunk_schedule=ChunkSchedule((1,))
)
TONE = (np.sin(np.arange(9600) * 0.05) * 0.1).astype(np.float32)
FRAMES = 4


def speak(engine: InflightEngine, *requests: SpeechRequest) -> list[AudioCollector]:
    """Synthesize requests at once."""
    collectors = [AudioCollector() for _ in requests]
    for request, collector in zip(requests, collectors, strict=True):
        engine.synthesize(engine._input_processor.check(request), collector, timeout=threading.TIMEOUT_MAX)
    for collector in collectors:
        collector.wait()
    return collectors


def clone(number: int, reference: Reference, *, x_vector_only: bool = False) -> SpeechRequest:
    options = SpeechOptions(
        max_new_tokens=FRAMES + 1, seed=number, x_vector_only=x_vector_only, ref_text=reference.text
    )
    return SpeechRequest("Two.", "", "en", speed=1.0, reference=reference, options=options)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_clones_on_a_gpu_wait_for_nothing_and_race_with_nothing(dtype: str, tmp_path: Path) -> None:
    folder = write_small(tmp_path / "base", "base")
    pb_utils.Logger.lines.clear()
    with pretended_gpu(PretendedCuda()) as cuda:
        engine = load_engine(Checkpoint.read(folder), Runtime("cuda:0", dtype, "sdpa"), SETTINGS)
        assert [line for line in pb_utils.Logger.lines if line[0] != "info"] == []
        assert cuda.driver.captured == 2 * 2 + 3 + 2 * 4  # frames and first draws, prefills, chunks of audio
        cuda.driver.waits.clear()
        shared = Reference.of(TONE, "One.")
        made = speak(
            engine,
            clone(0, shared),
            clone(1, shared),
            clone(2, Reference.of(TONE, x_vector_only=True), x_vector_only=True),
        )
        engine.close()
    for each in made:
        assert len(each.samples()) <= FRAMES * 1920
        assert np.isfinite(each.samples()).all()
    assert cuda.driver.breaches == []
    waiting = {thread for thread, _ in cuda.driver.waits}
    assert waiting <= {"qwen3-tts-encoding_0"}, cuda.driver.waits  # a new voice is encoded beside all others


def test_kernels_are_captured_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_backend, "PREFILL_BUCKETS", (32,))
    monkeypatch.setattr(stepper, "PREFILL_BUCKETS", (32,))
    folder = write_small(tmp_path / "custom", "custom_voice")
    request = SpeechRequest("Two.", "ryan", "en", speed=1.0, options=SpeechOptions(max_new_tokens=3, seed=1))
    made = []
    pb_utils.Logger.lines.clear()
    for graphs in (True, False):
        with pretended_gpu(PretendedCuda(), kernels=True) as cuda:
            settings = replace(SMALLEST, graphs=graphs)
            engine = load_engine(Checkpoint.read(folder), Runtime("cuda:0", "bfloat16", "sdpa"), settings)
            assert [line for line in pb_utils.Logger.lines if line[0] != "info"] == []
            assert cuda.driver.captured == (2 + 1 + 1 if graphs else 0)  # the frame and the first draw, prefill, audio
            cuda.driver.waits.clear()
            made += speak(engine, request)
            engine.close()
        assert cuda.driver.breaches == []
        assert not cuda.driver.waits
    captured, eager = (each.samples() for each in made)
    assert len(captured)
    np.testing.assert_array_equal(captured, eager)


def test_rows_of_a_voice_are_complete_before_another_thread_uses_them(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "base", "base")
    with pretended_gpu(PretendedCuda()) as cuda, torch.inference_mode():
        weights = Weights.load(folder, "cuda:0", torch.bfloat16)
        prompts = PromptBuilder(weights)
        codes = torch.zeros(3, 16, dtype=torch.int64, device="cuda:0")
        voice = ClonedVoice(torch.zeros(32, device="cuda:0"), codes, "One.")
        torch.cuda.synchronize()
        for _ in range(2):
            with torch.cuda.stream(torch.cuda.Stream("cuda:0")):
                prompts._rows(voice, codes).codes.clone()
    assert cuda.driver.breaches == []


def test_prompt_is_built_without_waiting_for_the_device(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "custom", "custom_voice")
    with pretended_gpu(PretendedCuda()) as cuda:
        prompts = PromptBuilder(Weights.load(folder, "cuda:0", torch.bfloat16))
        cuda.driver.waits.clear()
        prompts.build("One.", language="english", speaker="ryan", instruct="Softly.")
    assert not cuda.driver.waits
