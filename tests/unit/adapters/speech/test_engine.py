from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from adapters.kokoro.engine import KokoroEngine
from adapters.kokoro.parts import Break
from adapters.kokoro.speaker import Piece, Spoken
from adapters.triton.metrics import Metrics
from adapters.triton.speech import Reply, SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import InvalidInput, Overloaded

PATIENCE = 10


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class HeldSpeaker:
    """Speaks one piece for each word, of a second each, and only when the test lets it."""

    description = SpeechDescription((), (), "", (1.0, 1.0))

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.error: Exception | None = None
        self._may_speak = threading.Semaphore(0)
        self._has_begun = threading.Semaphore(0)

    def pieces(self, request: SpeechRequest) -> list[Piece]:
        if not request.text:
            raise InvalidInput("text", "has nothing that can be spoken")
        return [Piece([1, 2, 3], Break.WORD, word, 1.0) for word in request.text.split()]

    def speak(self, piece: Piece) -> Spoken:
        self.begun.append(piece.voice)
        self._has_begun.release()
        assert self._may_speak.acquire(timeout=PATIENCE)
        if self.error:
            raise self.error
        return Spoken(np.zeros(0 if piece.voice == "silence" else SPEECH_RATE, np.float32), frames=40)

    def until_begun(self) -> None:
        assert self._has_begun.acquire(timeout=PATIENCE)

    def let(self, pieces: int = 1) -> None:
        self._may_speak.release(pieces)


class Ask:
    """One request's side of the stream."""

    def __init__(self) -> None:
        self.sender = pb_utils.ResponseSender()
        self.reply = Reply(self.sender, Metrics("kokoro"))

    def of(self, engine: KokoroEngine, text: str) -> Ask:
        engine.submit(SpeechRequest(text=text, voice="", language="auto", speed=1.0), self.reply)
        return self

    def last(self) -> pb_utils.InferenceResponse:
        """The last response, once the stream has ended."""
        assert self.sender.ended.wait(PATIENCE)
        assert self.sender.finals == 1
        return self.sender.sent[-1]

    def outputs(self) -> dict[str, list[object]]:
        return {tensor.name(): tensor.as_numpy().tolist() for tensor in self.last().output_tensors()}

    def code(self) -> int:
        error = self.last().error()
        assert error is not None
        return error.code()


@pytest.fixture
def speaker() -> HeldSpeaker:
    return HeldSpeaker()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(speaker: HeldSpeaker, clock: Clock) -> Iterator[KokoroEngine]:
    engine = KokoroEngine(speaker, max_requests=3, clock=clock)
    yield engine
    speaker.let(100)
    engine.close()


def test_a_request_is_spoken_part_by_part_and_ends_with_its_counts(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    ask = Ask().of(engine, "one two")
    speaker.let(2)
    assert ask.outputs()["finish_reason"] == [b"stop"]
    assert ask.outputs()["text_tokens"] == [6]
    assert ask.outputs()["audio_frames"] == [80]
    assert len(ask.sender.sent) == 3


def test_a_part_leaves_before_the_next_is_spoken(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    ask = Ask().of(engine, "one two")
    speaker.let()
    speaker.until_begun()
    speaker.until_begun()
    assert len(ask.sender.sent) == 1
    assert ask.sender.finals == 0


def test_who_has_heard_nothing_yet_goes_ahead_in_order_of_arrival(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    long = Ask().of(engine, "long1 long2 long3")
    speaker.until_begun()
    others = [Ask().of(engine, "first1 first2"), Ask().of(engine, "second1")]
    speaker.let(100)
    for ask in (long, *others):
        ask.last()
    assert speaker.begun[:3] == ["long1", "first1", "second1"]


def test_then_whoever_runs_dry_first(engine: KokoroEngine, speaker: HeldSpeaker, clock: Clock) -> None:
    ahead = Ask().of(engine, "ahead1 ahead2 ahead3")
    speaker.until_begun()
    speaker.let()  # the first second of `ahead` plays from 100 on
    speaker.until_begun()
    clock.now += 0.5
    behind = Ask().of(engine, "behind1 behind2")
    speaker.let()  # ahead2: it has 2 s, of which half a second has passed
    speaker.until_begun()
    speaker.let()  # behind1: it has 1 s
    speaker.until_begun()
    speaker.let(100)
    ahead.last()
    behind.last()
    assert speaker.begun == ["ahead1", "ahead2", "behind1", "behind2", "ahead3"]


def test_a_caller_who_leaves_is_dropped_before_the_next_part(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    ask = Ask().of(engine, "one two three")
    speaker.until_begun()
    ask.sender.cancelled = True
    speaker.let()
    assert ask.code() == pb_utils.TritonError.CANCELLED
    assert speaker.begun == ["one"]


def test_a_caller_who_leaves_the_queue_is_never_spoken_to(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    Ask().of(engine, "one")
    speaker.until_begun()
    ask = Ask().of(engine, "never")
    ask.sender.cancelled = True
    speaker.let(100)
    assert ask.code() == pb_utils.TritonError.CANCELLED
    assert speaker.begun == ["one"]


def test_when_full_a_request_is_refused_at_once_and_room_comes_back(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    asks = [Ask().of(engine, "word") for _ in range(3)]
    with pytest.raises(Overloaded, match="3 requests at a time"):
        Ask().of(engine, "word")
    speaker.let(3)
    for ask in asks:
        ask.last()
    again = Ask().of(engine, "word")
    speaker.let()
    assert again.outputs()["finish_reason"] == [b"stop"]


def test_a_failure_ends_its_own_request_alone(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    speaker.error = ValueError("broken")
    broken = Ask().of(engine, "one two")
    speaker.let()
    assert broken.code() == pb_utils.TritonError.INTERNAL
    speaker.error = None
    whole = Ask().of(engine, "three")
    speaker.let()
    assert whole.outputs()["finish_reason"] == [b"stop"]


def test_a_stream_that_breaks_while_it_is_sent_does_not_stop_the_engine(
    engine: KokoroEngine, speaker: HeldSpeaker
) -> None:
    lost = Ask().of(engine, "one two")
    lost.sender.send(None, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)  # so that the next send raises
    speaker.let()
    whole = Ask().of(engine, "three")
    speaker.let()
    assert whole.outputs()["finish_reason"] == [b"stop"]
    assert "two" not in speaker.begun


def test_a_part_without_sound_sends_nothing(engine: KokoroEngine, speaker: HeldSpeaker) -> None:
    ask = Ask().of(engine, "silence word")
    speaker.let(2)
    assert ask.outputs()["audio_frames"] == [80]
    assert len(ask.sender.sent) == 2


def test_a_text_that_cannot_be_spoken_is_refused_at_once(engine: KokoroEngine) -> None:
    with pytest.raises(InvalidInput):
        Ask().of(engine, "")


def test_closing_ends_everything_and_takes_no_more(speaker: HeldSpeaker, clock: Clock) -> None:
    engine = KokoroEngine(speaker, max_requests=3, clock=clock)
    asks = [Ask().of(engine, "one two"), Ask().of(engine, "three")]
    speaker.until_begun()
    closer = threading.Thread(target=engine.close)
    closer.start()
    while not engine._closing:
        closer.join(0.01)
    speaker.let(100)
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert [ask.code() for ask in asks] == [pb_utils.TritonError.UNAVAILABLE] * 2
    with pytest.raises(Overloaded, match="shutting down"):
        Ask().of(engine, "four")
