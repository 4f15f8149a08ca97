"""The engine with its threads, on a tiny checkpoint: endings, deadlines, order, cancellation."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.inflight.scheduler import Limits
from adapters.qwen2_5_omni.engine import OmniEngine
from adapters.qwen2_5_omni.loading import TextCollector, load_engine, self_test
from adapters.qwen2_5_omni.settings import FAMILY, Defaults, EngineSettings
from adapters.triton.transcriber import WindowRequest
from tests.unit.adapters.qwen2_5_omni.judge import Judge, sound
from tritone.contract import TranscriptionOptions
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded
from tritone.transcript import Transcript

WAIT = 600
SETTINGS = EngineSettings(
    limits=Limits(slots=3, positions=300, queue=20, queue_seconds=WAIT),
    prefill_tokens=24,
    repetition_tokens=0,
    window_seconds=60,
    defaults=Defaults(temperature=0.0, repetition_penalty=1.1, max_new_tokens=20),
)


@contextmanager
def running(folder: Path, settings: EngineSettings = SETTINGS) -> Iterator[OmniEngine]:
    options = FAMILY.models["qwen2.5-omni-7b"].options
    engine = load_engine(folder, settings, options=options, device="cpu", dtype=torch.float32)
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def engine(plain: Path) -> Iterator[OmniEngine]:
    with running(plain) as engine:
        yield engine


class Watched(TextCollector):
    """A client that can be waited for: `first` is set with its first text, `begun` tells the order."""

    def __init__(self) -> None:
        super().__init__()
        self.first = threading.Event()

    def text(self, delta: str) -> None:
        super().text(delta)
        self.first.set()


def submit(engine: OmniEngine, audio: np.ndarray, *, timeout: float = math.inf, **options: object) -> Watched:
    sink = Watched()
    engine.transcribe(WindowRequest(audio, TranscriptionOptions(**options)), sink, timeout=timeout)  # type: ignore[arg-type]
    return sink


def tokens_of(transcript: Transcript) -> list[int]:
    return [token for segment in transcript.segments for token in segment.tokens]


def test_clients_at_once_get_what_each_gets_alone(engine: OmniEngine, plain: Path) -> None:
    judge = Judge.load(plain)
    sounds = [sound(0.4 + number / 3, 100 + 70 * number) for number in range(8)]
    clients = [submit(engine, audio, partial_text=True) for audio in sounds]
    for audio, client in zip(sounds, clients, strict=True):
        transcript = client.transcript(WAIT)
        expected = judge.tokens(audio, 20, penalty=1.1)
        ends = [judge.tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")]
        assert tokens_of(transcript) == [token for token in expected if token not in ends]
        assert client.reason == ("stop" if expected[-1] in ends else "length")
        assert "".join(client.deltas) == "".join(segment.text for segment in transcript.segments)
    assert engine.load().active == engine.load().waiting == 0


def test_segment_is_the_window(engine: OmniEngine) -> None:
    (segment,) = submit(engine, sound(1.5, 300), language="ko", logprobs=True).transcript(WAIT).segments
    assert (segment.start, segment.end) == (0.0, 1.5)
    assert segment.temperature == 0.0
    assert len(segment.tokens) == len(segment.token_logprobs) == len(segment.token_texts)
    assert b"".join(segment.token_texts).decode(errors="replace").strip() == segment.text.strip()
    assert segment.avg_logprob == pytest.approx(np.mean(segment.token_logprobs))


@pytest.mark.parametrize(("language", "expected"), [("ko", ("ko", 1.0)), ("auto", ("", 0.0)), ("ko,zh", ("", 0.0))])
def test_language_is_the_given_one_or_unknown(engine: OmniEngine, language: str, expected: tuple[str, float]) -> None:
    transcript = submit(engine, sound(0.5, 300), language=language, max_new_tokens=1).transcript(WAIT)
    assert (transcript.language, transcript.language_probability) == expected


def test_audio_too_short_for_a_word_gives_no_text(engine: OmniEngine) -> None:
    assert submit(engine, sound(0.01, 300)).transcript(WAIT).segments == ()


def test_text_that_repeats_itself_is_ended(plain: Path) -> None:
    settings = replace(SETTINGS, repetition_tokens=12, defaults=Defaults(0.0, 0.5, 250))
    with running(plain, settings) as engine:  # the penalty prefers tokens that were used
        client = submit(engine, sound(0.5, 200))
        tokens = tokens_of(client.transcript(WAIT))
    assert client.reason == "runaway"
    assert 12 < len(tokens) < 100
    period = next(p for p in range(1, 33) if tokens[-12:] == tokens[-12 - p : -p])
    assert period <= 32


def test_text_ends_where_its_slot_is_full(plain: Path) -> None:
    settings = replace(SETTINGS, limits=replace(SETTINGS.limits, positions=150), defaults=Defaults(0.0, 2.0, 8192))
    with running(plain, settings) as engine:
        client = submit(engine, sound(0.5, 200))
        transcript = client.transcript(WAIT)
        with pytest.raises(InvalidInput, match=r"audio: needs 5[0-9][0-9] positions with its prompt; a slot has 150"):
            submit(engine, sound(20, 200)).transcript(WAIT)
    assert client.reason in ("length", "stop")
    assert len(tokens_of(transcript)) < 150


def test_client_that_leaves_frees_its_slot(plain: Path) -> None:
    settings = replace(SETTINGS, limits=Limits(1, 2000, 20, WAIT), defaults=Defaults(1.0, 2.0, 1900))
    with running(plain, settings) as engine:
        first = submit(engine, sound(0.5, 200), partial_text=True, seed=1)
        assert first.first.wait(WAIT)
        second = submit(engine, sound(0.5, 200), max_new_tokens=3)
        first.closed = True
        assert second.transcript(WAIT).segments
        with pytest.raises(TimeoutError):
            first.transcript(0)
        assert engine.load().free_slots == 1


def test_window_past_its_deadline_is_ended(plain: Path) -> None:
    now = 0.0
    settings = replace(SETTINGS, limits=Limits(1, 2000, 20, 5), defaults=Defaults(1.0, 2.0, 1900))
    with running(plain, settings) as engine:
        for part in (engine, engine._scheduler, engine._loop):
            part._clock = lambda: now
        running_one = submit(engine, sound(0.5, 200), partial_text=True, seed=1, timeout=50)
        assert running_one.first.wait(WAIT)
        waiting = submit(engine, sound(0.5, 200))
        now = 10.0
        with pytest.raises(Overloaded, match="timed out waiting for a slot; try again in"):
            waiting.transcript(WAIT)
        now = 60.0
        with pytest.raises(DeadlinePassed, match=r"timed out after [0-9]+ tokens of text"):
            running_one.transcript(WAIT)


def test_full_queue_rejects_and_closing_fails_what_is_open(plain: Path) -> None:
    settings = replace(SETTINGS, limits=Limits(1, 2000, 1, WAIT), defaults=Defaults(1.0, 2.0, 1900))
    with running(plain, settings) as engine:
        first = submit(engine, sound(0.5, 200), partial_text=True, seed=1)
        assert first.first.wait(WAIT)
        second = submit(engine, sound(0.5, 200))
        with pytest.raises(Overloaded, match="at capacity"):
            submit(engine, sound(0.5, 200))
    for client in (first, second):
        with pytest.raises(Overloaded, match="shutting down"):
            client.transcript(WAIT)


def test_windows_in_the_background_wait_for_the_others(plain: Path) -> None:
    settings = replace(SETTINGS, limits=Limits(1, 2000, 20, WAIT), defaults=Defaults(1.0, 2.0, 1900))
    ended: list[str] = []

    class Named(Watched):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def finish(self, transcript, *, seconds, reason):
            ended.append(self.name)
            super().finish(transcript, seconds=seconds, reason=reason)

    with running(plain, settings) as engine:

        def send(name: str, *, background: bool) -> Named:
            sink = Named(name)
            options = TranscriptionOptions(background=background, max_new_tokens=2)
            engine.transcribe(WindowRequest(sound(0.5, 200), options), sink, timeout=math.inf)
            return sink

        holding = submit(engine, sound(0.5, 200), partial_text=True, seed=1)
        assert holding.first.wait(WAIT)
        clients = [send("later", background=True), send("later", background=True), send("first", background=False)]
        end = time.monotonic() + WAIT
        while not any(s.sink is clients[2] and s.is_prepared for s in engine._scheduler.open_streams()):
            assert time.monotonic() < end
            time.sleep(0.001)
        holding.closed = True
        engine._scheduler.wake()
        for client in clients:
            client.transcript(WAIT)
    assert ended == ["first", "later", "later"]


def test_window_that_cannot_be_prepared_fails_alone(engine: OmniEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    build = engine._prompts.build
    broken = sound(0.7, 200)

    def breaking(window: WindowRequest):
        if window.audio is broken:
            raise RuntimeError("broken")
        return build(window)

    monkeypatch.setattr(engine._prompts, "build", breaking)
    failing, other = submit(engine, broken), submit(engine, sound(0.5, 200))
    with pytest.raises(RuntimeError, match="broken"):
        failing.transcript(WAIT)
    assert other.transcript(WAIT).segments


@pytest.mark.parametrize("language", ["klingon", "ko,xx"])
def test_unknown_language_is_refused(engine: OmniEngine, language: str) -> None:
    with pytest.raises(InvalidInput, match=r"language: .* is not supported; choose auto, or from: "):
        engine.check(TranscriptionOptions(language=language))


def test_self_test_transcribes(engine: OmniEngine) -> None:
    self_test(engine)
