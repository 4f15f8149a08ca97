"""The whole in-flight engine on random checkpoints: its audio equals the package's, in any batch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.scheduler import Limits, Load
from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor
from adapters.qwen3_tts.inflight.io.voice_cache import VoiceCache, VoiceEncoder
from adapters.qwen3_tts.inflight.loading import load_engine
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES
from adapters.qwen3_tts.inflight.scheduling.loop import FrameLoop
from adapters.qwen3_tts.inflight.scheduling.runaway import RunawayDetector
from adapters.qwen3_tts.inflight.scheduling.scheduler import Scheduler
from adapters.qwen3_tts.inflight.scheduling.stream import Stream
from adapters.qwen3_tts.inflight.settings import EngineSettings
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.self_test import SELF_TEST
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.qwen3_tts.conftest import load
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.errors import InvalidInput

SETTINGS = EngineSettings(
    limits=Limits(slots=4, positions=128, queue=30, queue_seconds=600),
    chunk_schedule=CHUNK_SCHEDULES["latency"],
    runaway_frames=0,  # random weights repeat codes
    voice_cache_bytes=1 << 20,
    prefill_tokens=20,
    graphs=True,
)


class SteppedEngine:
    """The parts of an engine without its threads: the test steps the loop."""

    def __init__(self, folder: Path, settings: EngineSettings = SETTINGS) -> None:
        checkpoint, weights = Checkpoint.read(folder), Weights.load(folder)
        decoder = CodecDecoder.load(weights)
        voices = VoiceCache(VoiceEncoder(weights.encoders, decoder), max_bytes=1 << 20) if weights.encoders else None
        self.runaway_frames = settings.runaway_frames
        self.input_processor = InputProcessor(checkpoint, weights, voices, default_speaker="Vivian")
        self.stepper = FrameStepper(weights, slots=settings.limits.slots, positions=settings.limits.positions)
        self.codec = StreamingCodec(decoder, slots=settings.limits.slots)
        self.scheduler = Scheduler(settings.limits)
        self.loop = FrameLoop(
            self.scheduler, self.stepper, self.codec, settings.chunk_schedule, prefill_tokens=settings.prefill_tokens
        )

    def join(self, speech: SpeechRequest) -> AudioCollector:
        collector = AudioCollector()
        stream = Stream(
            self.input_processor.check(speech), collector, time.monotonic(), RunawayDetector(self.runaway_frames)
        )
        self.scheduler.submit(stream)
        self.scheduler.mark_ready(stream, self.input_processor.prepare(stream.request))
        return collector

    def step(self, times: int) -> None:
        for _ in range(times):
            self.loop.step()

    def run(self) -> None:
        """Step until no stream is open."""
        while self.scheduler.open_streams():
            self.loop.step()

    def solo(self, speech: SpeechRequest) -> np.ndarray:
        collector = self.join(speech)
        self.run()
        return collector.samples()


@pytest.fixture(scope="module")
def stepped(model_dir: Path) -> SteppedEngine:
    return SteppedEngine(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")


def greedy(text: str = "The harbour was quiet.", **options: object) -> SpeechRequest:
    return request(text, temperature=0.0, **{"max_new_tokens": 30, **options})


@pytest.mark.parametrize(
    ("folder", "options"),
    [
        ("0.6B-CustomVoice", {"voice": "ryan", "language": "en"}),
        ("0.6B-CustomVoice", {"voice": "eric", "language": "zh"}),
        ("1.7B-CustomVoice", {"instruct": "Whisper it."}),
        ("1.7B-VoiceDesign", {"instruct": "A low voice.", "language": "ko"}),
        ("0.6B-Base", {"ref_text": "Some words."}),
        ("1.7B-Base", {"x_vector_only": True}),
        ("0.6B-CustomVoice", {"voice": "ryan", "streaming_text": True}),
        ("0.6B-Base", {"ref_text": "Some words.", "streaming_text": False}),
    ],
    ids=str,
)
def test_engine_audio_equals_the_packages(
    model_dir: Path, reference: np.ndarray, folder: str, options: dict[str, object]
) -> None:
    path = model_dir / f"Qwen3-TTS-12Hz-{folder}"
    runner, one = load(path), greedy(**options, **({"ref_audio": reference} if "Base" in folder else {}))
    (theirs,) = runner.synthesize([runner.check(one)], lambda: [False])
    ours = SteppedEngine(path).solo(one)
    assert len(ours) == len(theirs.audio) > 0
    np.testing.assert_allclose(ours, theirs.audio, atol=1e-4)


def test_unsupported_default_language_is_rejected(model_dir: Path) -> None:
    checkpoint = Checkpoint.read(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    weights = Weights.load(checkpoint.folder)
    with pytest.raises(ValueError, match=r"DEFAULT_LANGUAGE=Klingon is not supported; .* one of: .*korean"):
        InputProcessor(checkpoint, weights, None, default_language="Klingon")


def test_equal_seeds_give_equal_audio_and_others_differ(stepped: SteppedEngine) -> None:
    first, again, other = (stepped.solo(request(seed=seed, max_new_tokens=9)) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_requests_without_a_seed_differ(stepped: SteppedEngine) -> None:
    assert not np.array_equal(*(stepped.solo(request(max_new_tokens=9)) for _ in range(2)))


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({
            "words": st.integers(1, 12),
            "voice": st.sampled_from(["ryan", "eric", "vivian"]),
            "temperature": st.sampled_from([0.0, 0.7, 1.1]),
            "tokens": st.integers(2, 40),
            "steps": st.integers(0, 12),
            "leaves": st.booleans(),
        }),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_streams_that_join_and_leave_equal_their_solo_runs(
    stepped: SteppedEngine, script: list[dict[str, Any]]
) -> None:
    requests = [
        request(
            "Nine. " * each["words"], voice=each["voice"], temperature=each["temperature"],
            max_new_tokens=each["tokens"], seed=seed,
        )
        for seed, each in enumerate(script)
    ]  # fmt: skip
    collectors = []
    for one, each in zip(requests, script, strict=True):
        collectors.append(stepped.join(one))
        stepped.step(each["steps"])
        collectors[-1].closed = each["leaves"]
    stepped.run()
    assert stepped.scheduler.load() == Load(active=0, waiting=0, free_slots=4, reserved=0)
    for one, collector in zip(requests, collectors, strict=True):
        audio, solo = collector.samples(), stepped.solo(one)
        assert len(audio) == len(solo) or collector.closed
        np.testing.assert_allclose(audio, solo[: len(audio)], atol=1e-5)


def test_simultaneous_clones_equal_their_solo_runs(model_dir: Path, reference: np.ndarray) -> None:
    stepped = SteppedEngine(model_dir / "Qwen3-TTS-12Hz-0.6B-Base")
    requests = [
        greedy(ref_audio=reference, ref_text="Some words."),
        greedy(ref_audio=reference[::-1].copy(), x_vector_only=True),
        greedy("Hi.", ref_audio=reference[:30_000], ref_text="Other words, and more of them than are heard."),
        greedy("Once more.", ref_audio=reference, ref_text="Some words."),
    ]
    together = [stepped.join(each) for each in requests]
    stepped.run()
    for each, collector in zip(requests, together, strict=True):
        np.testing.assert_allclose(collector.samples(), stepped.solo(each), atol=1e-5)


def test_prompt_longer_than_a_slot_is_rejected(stepped: SteppedEngine) -> None:
    with pytest.raises(InvalidInput, match="text: needs"):
        stepped.join(request("Nine. " * 100))
    for stream in stepped.scheduler.open_streams():
        stepped.scheduler.remove(stream)


def test_engine_self_test_passes_for_every_checkpoint(model_dir: Path) -> None:
    for folder in model_dir.iterdir():
        engine = load_engine(Checkpoint.read(folder), Runtime("cpu", "float32", "sdpa"), SETTINGS)
        try:
            engine.self_test(SELF_TEST)
        finally:
            engine.close()


def test_broken_weights_fail_and_give_no_audio(model_dir: Path) -> None:
    stepped = SteppedEngine(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    stepped.codec._arena.values.fill_(torch.nan)
    stepped.codec.reset = lambda slot, state: None  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="NaN"):
        stepped.solo(greedy())
