from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.speech.engine import PartByPartEngine
from adapters.speech.pipeline import SpeechPiece, SpeechPipeline, SpokenPiece
from adapters.speech.text_splitter import Break
from adapters.triton.lost_gpu import GpuLost
from adapters.triton.metrics import EngineCounts, Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.clock import ManualClock
from tests.unit.adapters.stand_in import pb_utils
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import InvalidInput, Overloaded
from tritone.transcript import Word as SpokenWord

PATIENCE = 300
FRAMES = 40
SECOND = np.ones(SPEECH_RATE, np.float32)
"""The engine trims its last sample, and adds no pause after a word."""


@dataclass(frozen=True, kw_only=True)
class Word(SpeechPiece):
    word: str


class HeldPipeline(SpeechPipeline[Word]):
    """Make one piece of a second for each word, and synthesize it only when the test allows it."""

    description = SpeechDescription((), (), "", (1.0, 1.0))
    frame_samples = SPEECH_RATE // FRAMES

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.error: Exception | None = None
        self._allowed = threading.Semaphore(0)
        self._has_begun = threading.Semaphore(0)

    def pieces(self, request: SpeechRequest) -> list[Word]:
        if not request.text:
            raise InvalidInput("text", "has no words to synthesize")
        return [Word(text_tokens=3, end=Break.WORD, word=word) for word in request.text.split()]

    def synthesize(self, piece: Word) -> NDArray[np.float32]:
        self.begun.append(piece.word)
        self._has_begun.release()
        assert self._allowed.acquire(timeout=PATIENCE)
        if self.error:
            raise self.error
        return SECOND * {"silence": 0.0, "nan": math.nan}.get(piece.word, 1.0)

    def wait_until_begun(self) -> None:
        assert self._has_begun.acquire(timeout=PATIENCE)

    def allow(self, pieces: int = 1) -> None:
        self._allowed.release(pieces)


class Client:
    """The client's side of one request."""

    def __init__(self) -> None:
        self.sender = pb_utils.ResponseSender()
        self.stream = ResponseStream(self.sender, Metrics("test-voice", "speech"))

    def submit(self, engine: PartByPartEngine[Word], text: str, timeout: float = math.inf) -> Client:
        engine.submit(SpeechRequest(text, voice="", language="auto", speed=1.0, timeout=timeout), self.stream)
        return self

    def last(self) -> pb_utils.InferenceResponse:
        """Return the last response, once the stream has ended."""
        assert self.sender.ended.wait(PATIENCE)
        assert self.sender.finals == 1
        return self.sender.sent[-1]

    def outputs(self) -> dict[str, list[object]]:
        return {tensor.name(): tensor.as_numpy().tolist() for tensor in self.last().output_tensors()}

    def error(self) -> pb_utils.TritonError:
        error = self.last().error()
        assert error is not None
        return error

    def code(self) -> int:
        return self.error().code()


@pytest.fixture
def pipeline() -> HeldPipeline:
    return HeldPipeline()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(pipeline: HeldPipeline, clock: ManualClock) -> Iterator[PartByPartEngine[Word]]:
    engine = PartByPartEngine(pipeline, max_requests=3, clock=clock)
    yield engine
    pipeline.allow(100)
    engine.close()


def test_request_is_synthesized_piece_by_piece_and_ends_with_its_counts(engine, pipeline) -> None:
    client = Client().submit(engine, "one two")
    pipeline.allow(2)
    assert client.outputs()["finish_reason"] == [b"stop"]
    assert client.outputs()["text_tokens"] == [6]
    assert client.outputs()["audio_frames"] == [2 * FRAMES]
    assert len(client.sender.sent) == 3


def test_times_of_words_begin_with_the_first_sample_that_is_sent() -> None:
    class TimedPipeline(HeldPipeline):
        def speak(self, piece: Word) -> SpokenPiece:
            quiet = np.zeros(SPEECH_RATE, np.float32)
            return SpokenPiece(np.concatenate([quiet, SECOND, quiet]), (SpokenWord(1.0, 1.5, piece.word, 1.0),))

    engine = PartByPartEngine(TimedPipeline(), max_requests=1)
    client = Client().submit(engine, "one two")
    client.last()
    engine.close()
    first, second, _ = [
        {tensor.name(): tensor.as_numpy() for tensor in sent.output_tensors()} for sent in client.sender.sent
    ]
    kept = 0.05  # seconds of the silence before the speech
    assert first["word_text"].tolist() == [b"one"]
    assert [first["word_start"][0], first["word_end"][0]] == pytest.approx([kept, kept + 0.5], abs=1e-4)
    before = len(first["audio"]) / SPEECH_RATE
    assert second["word_start"][0] == pytest.approx(before + kept, abs=1e-4)


def test_piece_is_sent_before_the_next_one_is_synthesized(engine, pipeline) -> None:
    client = Client().submit(engine, "one two")
    pipeline.allow()
    pipeline.wait_until_begun()
    pipeline.wait_until_begun()
    assert len(client.sender.sent) == 1
    assert client.sender.finals == 0


def test_requests_without_audio_come_first_in_order_of_arrival(engine, pipeline) -> None:
    long = Client().submit(engine, "long1 long2 long3")
    pipeline.wait_until_begun()
    others = [Client().submit(engine, "first1 first2"), Client().submit(engine, "second1")]
    pipeline.allow(100)
    for client in (long, *others):
        client.last()
    assert pipeline.begun[:3] == ["long1", "first1", "second1"]


def test_request_with_the_least_buffered_audio_comes_next(engine, pipeline, clock) -> None:
    ahead = Client().submit(engine, "ahead1 ahead2 ahead3")
    pipeline.wait_until_begun()
    pipeline.allow()  # the first second of `ahead` plays from 100 on
    pipeline.wait_until_begun()
    clock.now += 0.5
    behind = Client().submit(engine, "behind1 behind2")
    pipeline.allow()  # ahead2: 2 s of audio, of which half a second has played
    pipeline.wait_until_begun()
    pipeline.allow()  # behind1: 1 s of audio
    pipeline.wait_until_begun()
    pipeline.allow(100)
    ahead.last()
    behind.last()
    assert pipeline.begun == ["ahead1", "ahead2", "behind1", "behind2", "ahead3"]


def test_cancelled_request_ends_before_its_next_piece(engine, pipeline) -> None:
    client = Client().submit(engine, "one two three")
    pipeline.wait_until_begun()
    client.sender.cancelled = True
    pipeline.allow()
    assert client.code() == pb_utils.TritonError.CANCELLED
    assert pipeline.begun == ["one"]


def test_request_that_is_cancelled_in_the_queue_is_not_synthesized(engine, pipeline) -> None:
    Client().submit(engine, "one")
    pipeline.wait_until_begun()
    client = Client().submit(engine, "never")
    client.sender.cancelled = True
    pipeline.allow(100)
    assert client.code() == pb_utils.TritonError.CANCELLED
    assert pipeline.begun == ["one"]


def test_request_whose_deadline_passes_ends_before_its_next_piece(engine, pipeline, clock) -> None:
    client = Client().submit(engine, "one two", timeout=5.0)
    waiting = Client().submit(engine, "never", timeout=5.0)
    patient = Client().submit(engine, "three")
    pipeline.wait_until_begun()
    clock.now += 5.0
    pipeline.allow(100)
    assert client.code() == pb_utils.TritonError.CANCELLED
    assert client.error().message() == "deadline: the request timed out after 1.00 s of audio"
    assert waiting.error().message() == "overloaded: timed out waiting for a slot"
    assert patient.outputs()["finish_reason"] == [b"stop"]
    assert pipeline.begun == ["one", "three"]


def test_request_beyond_the_capacity_is_rejected_until_another_one_ends(engine, pipeline) -> None:
    clients = [Client().submit(engine, "word") for _ in range(3)]
    with pytest.raises(Overloaded, match=r"at capacity \(3 requests\)"):
        Client().submit(engine, "word")
    pipeline.allow(3)
    for client in clients:
        client.last()
    again = Client().submit(engine, "word")
    pipeline.allow()
    assert again.outputs()["finish_reason"] == [b"stop"]


def test_failure_ends_only_its_own_request(engine, pipeline) -> None:
    pipeline.error = ValueError("broken")
    broken = Client().submit(engine, "one two")
    pipeline.allow()
    assert broken.code() == pb_utils.TritonError.INTERNAL
    pipeline.error = None
    whole = Client().submit(engine, "three")
    pipeline.allow()
    assert whole.outputs()["finish_reason"] == [b"stop"]


def test_stream_that_cannot_be_sent_does_not_stop_the_engine(engine, pipeline) -> None:
    lost = Client().submit(engine, "one two")
    lost.sender.send(None, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)  # the next send raises
    pipeline.allow()
    whole = Client().submit(engine, "three")
    pipeline.allow()
    assert whole.outputs()["finish_reason"] == [b"stop"]
    assert "two" not in pipeline.begun


def test_request_whose_end_cannot_be_sent_gets_an_error(engine, pipeline) -> None:
    class Narrow(pb_utils.ResponseSender):
        """A sender with room for an error only."""

        def send(self, response=None, flags=0) -> None:
            if flags and not response.has_error():
                raise pb_utils.TritonError("no shared memory is left")
            super().send(response, flags)

    client = Client()
    client.sender = Narrow()
    client.stream = ResponseStream(client.sender, Metrics("test-voice", "speech"))
    client.submit(engine, "one")
    pipeline.allow()
    assert client.code() == pb_utils.TritonError.INTERNAL


def test_samples_that_are_no_numbers_are_an_error_and_no_silence(engine, pipeline) -> None:
    client = Client().submit(engine, "nan")
    pipeline.allow()
    assert client.code() == pb_utils.TritonError.INTERNAL


def test_silent_piece_is_not_sent(engine, pipeline) -> None:
    client = Client().submit(engine, "silence word")
    pipeline.allow(2)
    assert client.outputs()["audio_frames"] == [2 * FRAMES]
    assert len(client.sender.sent) == 2


def test_text_without_words_is_rejected_at_once(engine) -> None:
    with pytest.raises(InvalidInput):
        Client().submit(engine, "")


def test_closing_engine_fails_open_requests_and_rejects_new_ones(pipeline, clock) -> None:
    engine = PartByPartEngine(pipeline, max_requests=10_000, clock=clock)
    clients = [Client().submit(engine, "one two"), Client().submit(engine, "three")]
    pipeline.wait_until_begun()
    closer = threading.Thread(target=engine.close)
    closer.start()
    rejection = None
    while rejection is None:  # accepted until `close` has begun, rejected from then on
        try:
            clients.append(Client().submit(engine, "more"))
        except Overloaded as error:
            rejection = error
        closer.join(0.01)
    pipeline.allow()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert "shutting down" in str(rejection)
    assert pipeline.begun == ["one"]
    assert [client.code() for client in clients] == [pb_utils.TritonError.UNAVAILABLE] * len(clients)


class NamedPipeline(HeldPipeline):
    """Synthesize each piece only when the test allows it by its word; its samples tell the word's last digit."""

    def __init__(self) -> None:
        super().__init__()
        self._named: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def synthesize(self, piece: Word) -> NDArray[np.float32]:
        self.begun.append(piece.word)
        self._has_begun.release()
        assert self._named[piece.word].wait(PATIENCE)
        if piece.word == "broken":
            raise ValueError("broken")
        return SECOND * int(piece.word[-1]) / 10

    def allow_words(self, *words: str) -> None:
        for word in words:
            self._named[word].set()


@pytest.fixture
def named() -> NamedPipeline:
    return NamedPipeline()


@pytest.fixture
def pair(named: NamedPipeline, clock: ManualClock) -> Iterator[PartByPartEngine[Word]]:
    """Return an engine that computes two pieces at once."""
    engine = PartByPartEngine(named, max_requests=3, at_once=2, clock=clock)
    yield engine
    engine.close()


def test_pieces_that_are_computed_at_once_are_sent_in_order(pair, named) -> None:
    client = Client().submit(pair, "a1 a2 a3")
    named.allow_words("a1", "a3")
    for _ in range(3):  # a3 begins beside a2, which is held
        named.wait_until_begun()
    deadline = time.monotonic() + PATIENCE
    while pair.counts().items < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(client.sender.sent) == 1
    named.allow_words("a2")
    assert client.outputs()["audio_frames"] == [3 * FRAMES]
    audio = [sent.output_tensors()[0].as_numpy() for sent in client.sender.sent[:-1]]
    assert [round(10 * samples.max() / 32767) for samples in audio] == [1, 2, 3]


def test_first_piece_of_a_request_has_no_other_of_it_beside_it(pair, named) -> None:
    first = Client().submit(pair, "a1 a2")
    named.wait_until_begun()
    second = Client().submit(pair, "b1")
    named.wait_until_begun()
    named.allow_words("a1", "a2", "b1")
    first.last()
    second.last()
    assert named.begun == ["a1", "b1", "a2"]


def test_listener_with_little_audio_gets_one_piece_at_a_time(pair, named, clock) -> None:
    slow = Client().submit(pair, "a1 a2 a3")
    named.wait_until_begun()
    clock.now += 0.6  # a1 takes 0.6 s for a second of audio
    named.allow_words("a1")
    named.wait_until_begun()
    other = Client().submit(pair, "b1")
    named.wait_until_begun()
    named.allow_words("a2", "a3", "b1")
    slow.last()
    other.last()
    assert named.begun == ["a1", "a2", "b1", "a3"]


def test_failure_of_a_piece_ends_its_request_once(pair, named) -> None:
    client = Client().submit(pair, "a1 broken a3 a4")
    named.allow_words("a1", "broken")
    assert client.code() == pb_utils.TritonError.INTERNAL
    named.allow_words("a3")
    whole = Client().submit(pair, "b1")
    named.allow_words("b1")
    assert whole.outputs()["finish_reason"] == [b"stop"]
    assert client.sender.finals == 1
    assert "a4" not in named.begun


def test_client_that_leaves_ends_its_request_before_the_next_piece(pair, named) -> None:
    client = Client().submit(pair, "a1 a2 a3 a4 a5")
    named.allow_words("a1", "a2")
    for _ in range(4):
        named.wait_until_begun()
    client.sender.cancelled = True
    named.allow_words("a3", "a4")
    assert client.code() == pb_utils.TritonError.CANCELLED
    assert client.sender.finals == 1
    assert sorted(named.begun) == ["a1", "a2", "a3", "a4"]


class BatchPipeline(HeldPipeline):
    """Note the words of each batch, and synthesize it as one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def speak_all(self, pieces: Sequence[Word]) -> list[SpokenPiece]:
        self.batches.append([piece.word for piece in pieces])
        self.synthesize(pieces[0])
        return [SpokenPiece(SECOND * (math.nan if piece.word == "nan" else 1.0)) for piece in pieces]


@pytest.fixture
def batches() -> Iterator[tuple[BatchPipeline, PartByPartEngine[Word], list[int]]]:
    pipeline, exits = BatchPipeline(), list[int]()
    engine = PartByPartEngine(pipeline, max_requests=9, most_together=3, exit_process=exits.append)
    yield pipeline, engine, exits
    pipeline.allow(100)
    engine.close()


def test_pieces_that_wait_share_a_batch(batches) -> None:
    pipeline, engine, _ = batches
    clients = [Client().submit(engine, "first")]
    pipeline.wait_until_begun()
    clients += [Client().submit(engine, word) for word in ("a", "b", "c", "d")]
    pipeline.allow(3)
    assert [client.outputs()["finish_reason"] for client in clients] == [[b"stop"]] * 5
    assert pipeline.batches == [["first"], ["a", "b", "c"], ["d"]]
    assert engine.counts() == EngineCounts(slots=3, batches=3, items=5)


def test_noise_in_one_row_of_a_batch_fails_its_request_alone(batches) -> None:
    pipeline, engine, _ = batches
    first = Client().submit(engine, "first")
    pipeline.wait_until_begun()
    bad, good = Client().submit(engine, "nan"), Client().submit(engine, "good")
    pipeline.allow(2)
    assert bad.code() == pb_utils.TritonError.INTERNAL
    assert good.outputs()["finish_reason"] == first.outputs()["finish_reason"] == [b"stop"]


def test_a_lost_gpu_ends_all_requests_and_the_process(batches) -> None:
    pipeline, engine, exits = batches
    first = Client().submit(engine, "first")
    pipeline.wait_until_begun()
    waiting = Client().submit(engine, "waiting")
    pipeline.error = GpuLost()
    pipeline.allow()
    for client in (first, waiting):
        assert client.code() == pb_utils.TritonError.UNAVAILABLE
    engine.close()
    assert exits == [1]
