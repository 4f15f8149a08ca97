"""The engine with its threads, on a tiny checkpoint: endings, options, deadlines, cancellation."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.scheduler import Limits
from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from adapters.zonos.engine import ZonosEngine
from adapters.zonos.loading import load_engine, self_test
from adapters.zonos.settings import FAMILY, EngineSettings
from tests.unit.adapters.zonos.test_speaker import tone
from tools.tiny_models.zonos import MODEL
from tritone.contract import SpeechOptions
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded

WAIT = 600
SETTINGS = EngineSettings(Limits(slots=3, positions=3072, queue=20, queue_seconds=WAIT))
VOICE = Reference.of(tone(200))


@contextmanager
def running(models: Path, settings: EngineSettings = SETTINGS) -> Iterator[ZonosEngine]:
    options = FAMILY.models["zonos-v0.1"].options
    engine = load_engine(models / MODEL, settings, options=options, device="cpu", dtype=torch.float32)
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def engine(models: Path) -> Iterator[ZonosEngine]:
    with running(models) as engine:
        yield engine


def request(
    text: str = "Hello there.",
    language: str = "en",
    *,
    voice: Reference | None = VOICE,
    timeout: float = math.inf,
    **options: Any,
) -> SpeechRequest:
    given = SpeechOptions(**{"seed": 1, "max_new_tokens": 20, **options})
    return SpeechRequest(text, "", language, 1.0, given, voice, timeout)


class Watched(AudioCollector):
    """A client that can be waited for: `first` is set with its first audio."""

    def __init__(self) -> None:
        super().__init__()
        self.first = threading.Event()

    def audio(self, samples: NDArray[np.float32], rate: int = 0) -> None:
        super().audio(samples, rate)
        self.first.set()


def submit(engine: ZonosEngine, speech: SpeechRequest) -> Watched:
    client = Watched()
    engine.synthesize(speech, client)
    return client


def audio_of(engine: ZonosEngine, **options: Any) -> NDArray[np.float32]:
    client = submit(engine, request(**options))
    assert client.wait(WAIT)
    return client.samples()


def test_clients_at_once_get_what_each_gets_alone(engine: ZonosEngine) -> None:
    requests = [
        request(),
        request("Good night!", seed=2, cfg_scale=3.0, max_new_tokens=45),
        request("안녕하세요.", "ko", seed=3, emotions='{"anger": 1}', voice=Reference.of(tone(500))),
        request("One.", seed=4, temperature=0.0, top_k=5),
    ]
    clients = [submit(engine, speech) for speech in requests]
    together = [client.samples() for client in clients if client.wait(WAIT)]
    for speech, samples in zip(requests, together, strict=True):
        alone = submit(engine, speech)
        assert alone.wait(WAIT)
        np.testing.assert_allclose(alone.samples(), samples, atol=1e-4)
        assert alone.rate == 44_100
        most = speech.options.max_new_tokens * 512  # type: ignore[operator]
        assert len(samples) == most if alone.reason == "length" else len(samples) < most
    assert engine.load().active == engine.load().waiting == 0


@pytest.mark.parametrize(
    "options",
    [
        {"emotions": '{"sadness": 1.0}'},
        {"speaking_rate": 35.0},
        {"pitch_std": 200.0},
        {"cfg_scale": 5.0},
        {"min_p": 0.9},
        {"seed": 2},
        {"language": "de"},
        {"voice": Reference.of(tone(700))},
    ],
)
def test_each_option_changes_the_audio(engine: ZonosEngine, options: dict[str, Any]) -> None:
    usual = audio_of(engine)
    assert np.array_equal(usual, audio_of(engine))
    assert not np.array_equal(usual, audio_of(engine, **options))


def test_a_long_text_is_synthesized_in_parts_one_after_the_other(engine: ZonosEngine) -> None:
    text = "It was a quiet morning in the harbour. " * 20
    client = Watched()
    stream = engine.synthesize(request(text, max_new_tokens=None, speaking_rate=40.0, seed=5), client)
    assert client.first.wait(WAIT)
    client.closed = True
    assert stream.parts
    assert len(stream.parts) > 1
    assert all(part.max_frames <= 2580 and part.prompt.prefix.shape[1] < 480 for part in stream.parts)


def test_speech_ends_with_the_models_end_or_as_a_runaway(models: Path) -> None:
    with running(models) as engine:
        head = engine._loop._stepper._weights.head
        client = submit(engine, request("Yes.", max_new_tokens=None, speaking_rate=40.0))
        assert client.wait(WAIT)
        assert client.reason in ("stop", "runaway")
        assert len(client.samples()) <= 512 * 400
        norm = engine._loop._stepper._weights.norm
        norm.weight.zero_()  # every hidden state is the bias: the end has the greatest score from now on
        head[1024] = 100 * norm.bias
        ended = submit(engine, request("One. " * 100, max_new_tokens=None, temperature=0.0))
        assert ended.wait(WAIT)
        assert ended.reason == "stop"
        parts = len(ended.samples()) // 512
        assert parts > 1, "a frame for each part of the text"


def test_a_client_that_leaves_frees_its_slot(models: Path) -> None:
    settings = EngineSettings(replace(SETTINGS.limits, slots=1))
    with running(models, settings) as engine:
        first = submit(engine, request("A long story. " * 10, max_new_tokens=2000))
        assert first.first.wait(WAIT)
        second = submit(engine, request())
        first.closed = True
        assert second.wait(WAIT)
        assert len(second.samples())
        assert not first.wait(0)
        assert engine.load().free_slots == 1


@pytest.mark.parametrize("leaves", [False, True])
def test_nothing_of_a_request_is_kept_after_its_end(engine: ZonosEngine, leaves: bool) -> None:
    client, gone = Watched(), threading.Event()
    stream = engine.synthesize(request("A long story. " * 10, max_new_tokens=2000 if leaves else 30), client)
    weakref.finalize(stream, gone.set)
    del stream
    assert client.first.wait(WAIT)
    client.closed = leaves
    assert gone.wait(WAIT)


def test_a_request_past_its_deadline_is_ended(models: Path) -> None:
    now = 0.0
    settings = EngineSettings(Limits(1, 3072, 20, 5))
    with running(models, settings) as engine:
        for part in (engine, engine._scheduler, engine._loop):
            part._clock = lambda: now
        long = submit(engine, request("A long story. " * 10, max_new_tokens=2000, timeout=50))
        assert long.first.wait(WAIT)
        waiting = submit(engine, request())
        now = 6.0
        assert waiting.wait(WAIT)
        with pytest.raises(Overloaded, match="timed out waiting for a slot"):
            waiting.samples()
        now = 51.0
        assert long.wait(WAIT)
        with pytest.raises(DeadlinePassed, match=r"timed out after [0-9]+ frames"):
            long.samples()


@pytest.mark.parametrize(
    ("speech", "message"),
    [
        (request(voice=None), "ref_audio: this model needs it"),
        (request("おはよう。", "auto"), "text: is in Japanese, which this model does not read"),
    ],
)
def test_a_request_that_the_model_cannot_serve_is_rejected(
    engine: ZonosEngine, speech: SpeechRequest, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        submit(engine, speech)


@pytest.mark.parametrize("text", ["\u200b", "!!!", "… ?"])
def test_a_text_without_a_word_is_rejected(engine: ZonosEngine, text: str) -> None:
    client = submit(engine, request(text))
    assert client.wait(WAIT)
    with pytest.raises(InvalidInput, match="text: has nothing to say"):
        client.samples()


def test_the_self_test_needs_audio(models: Path) -> None:
    with running(models) as engine:
        self_test(engine)
        engine._loop._stepper._weights.norm.bias.fill_(torch.nan)
        engine._audio._codec._decoder.conv2.bias.data.fill_(torch.nan)
        with pytest.raises(RuntimeError, match="NaN or infinite samples"):
            self_test(engine)


def test_an_engine_that_closes_ends_its_requests(models: Path) -> None:
    with running(models) as engine:
        client = submit(engine, request("A long story. " * 10, max_new_tokens=2000))
        assert client.first.wait(WAIT)
    assert client.wait(WAIT)
    with pytest.raises(Overloaded, match="shutting down"):
        client.samples()
