"""The engine of speech families that synthesize a text part by part: many requests share one network."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple

from adapters.speech.joins import prepare_join, speech_bounds
from adapters.speech.pipeline import P, SpeechPipeline, SpokenPiece
from adapters.speech.playback_clock import PlaybackClock
from adapters.triton.errors import client_left, exit_without_gpu, shutting_down
from adapters.triton.lost_gpu import GpuLost
from adapters.triton.metrics import EngineCounts
from adapters.triton.response_stream import ResponseStream
from adapters.triton.samples import check_finite, to_int16
from adapters.triton.speech_engine import check_capacity
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import DeadlinePassed, Overloaded
from tritone.transcript import Word
from tritone.word_times import ordered_words


@dataclass(eq=False)
class _OpenRequest(Generic[P]):
    """A request that is not yet ended."""

    stream: ResponseStream
    deadline: float
    """The time, by the engine's clock, after which the client has no use for the audio."""
    pieces: deque[P]
    """The pieces of the text that no thread has begun, in order."""
    text_tokens: int
    begun: int = 0
    """Pieces that a thread has begun. They are numbered in this order, from 0 on."""
    sent: int = 0
    """Pieces whose audio has been sent."""
    spoken: dict[int, tuple[P, SpokenPiece]] = field(default_factory=dict)
    """Synthesized pieces that wait until the pieces before them have been sent, by number."""
    slowest: float = 0.0
    """The longest time that a piece took, in seconds."""
    samples: int = 0
    """Samples that have been sent."""
    frames: int = 0
    playback: PlaybackClock = field(default_factory=PlaybackClock)

    def may_begin(self, now: float) -> bool:
        """Return whether the next piece may begin now.

        While an earlier one is computed, which another would slow down, the listener must have twice the audio that
        this takes: none has before the first audio.
        """
        is_idle = self.begun == self.sent
        return bool(self.pieces) and (is_idle or self.playback.buffered_seconds(now) > 2 * self.slowest)


class _Turn(NamedTuple, Generic[P]):
    """A piece in a batch."""

    request: _OpenRequest[P]
    number: int
    piece: P


class PartByPartEngine(Generic[P]):
    """Synthesize pieces, on threads of its own, and send those of a request in order.

    Requests without audio come first, in order of arrival. Then comes the request with the least audio left to play. A
    request has more than one piece in progress only where no other waits.
    """

    def __init__(
        self,
        pipeline: SpeechPipeline[P],
        *,
        max_requests: int,
        at_once: int = 1,
        most_together: int = 1,
        clock: Callable[[], float] = time.monotonic,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        """`at_once`: batches that are synthesized at the same time, each on a thread; `most_together`: pieces in each.

        For batches of more than one piece there is another thread, so that the next batch is synthesized while the
        pieces of the last one are sent.
        """
        self.description: SpeechDescription = pipeline.description
        self._pipeline = pipeline
        self._max_requests = max_requests
        self._clock = clock
        self._open: list[_OpenRequest[P]] = []  # in order of arrival
        self._closing = False
        self._batches = self._pieces = 0
        self._changed = threading.Condition()
        """Held for every use of the requests and their streams."""
        self._slots = at_once * most_together
        self._most_together = most_together
        self._exit_process = exit_process
        self._turns = threading.Semaphore(at_once)
        """Held from the choice of a batch to the end of its computation."""
        count = at_once + (most_together > 1)
        self._threads = [threading.Thread(target=self._run, name=f"speech-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        """Accept a request; raises `InvalidInput` where its text has no words, `Overloaded` at capacity."""
        deadline = self._clock() + request.timeout
        pieces = deque(self._pipeline.pieces(request))
        with self._changed:
            check_capacity(len(self._open), self._max_requests, closing=self._closing)
            self._open.append(_OpenRequest(stream, deadline, pieces, sum(piece.text_tokens for piece in pieces)))
            self._changed.notify()

    def counts(self) -> EngineCounts:
        """Return the pieces that are computed at once, and the counts so far. No lock: ends of streams call it."""
        return EngineCounts(self._slots, self._batches, self._pieces)

    def close(self) -> None:
        """Accept no more requests; open ones fail after the pieces in progress."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for request in list(self._open):
            self._fail(request, shutting_down())

    def _run(self) -> None:
        while True:
            with self._turns:
                batch = self._take()
                if not batch:
                    return
                finish = self._speak(batch)
            finish()

    def _take(self) -> list[_Turn[P]]:
        """Wait for pieces that may begin now, and return the most urgent of them; none once the engine closes."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._closing or self._next() is not None)
                if self._closing:
                    return []
                self._end_unwanted()
                batch: list[_Turn[P]] = []
                while len(batch) < self._most_together and (request := self._next()):
                    batch.append(_Turn(request, request.begun, request.pieces.popleft()))
                    request.begun += 1
                if batch:
                    return batch

    def _next(self) -> _OpenRequest[P] | None:
        """Return the request whose next piece a thread should synthesize now; None if no request may begin one.

        Of the requests with the fewest pieces in progress, it is the one with the least audio left to play; before
        their first audio, the one that arrived first.
        """
        now = self._clock()
        return min(
            (request for request in self._open if request.may_begin(now)),
            key=lambda request: (request.begun - request.sent, request.playback.buffered_seconds(now)),
            default=None,
        )

    def _end_unwanted(self) -> None:
        """End cancelled requests, and requests after their deadline."""
        now = self._clock()
        for request in list(self._open):
            if request.stream.is_cancelled():
                self._fail(request, client_left())
            elif now >= request.deadline and not request.begun:
                self._fail(request, Overloaded("timed out waiting for a slot"))
            elif now >= request.deadline:
                sent = f"{request.samples / SPEECH_RATE:.2f} s of audio"
                self._fail(request, DeadlinePassed(f"the request timed out after {sent}"))

    def _speak(self, batch: Sequence[_Turn[P]]) -> Callable[[], None]:
        """Synthesize a batch; return what sends the pieces that can be sent then, or fails the requests."""
        try:
            with self._changed:
                for turn in batch:
                    turn.request.stream.start()
            begun = self._clock()
            spoken = self._pipeline.speak_all([turn.piece for turn in batch])
            seconds = self._clock() - begun
        except Exception as error:
            return partial(self._fail_batch, batch, error)
        with self._changed:
            self._batches += 1
        return partial(self._send_batch, batch, spoken, seconds)

    def _send_batch(self, batch: Sequence[_Turn[P]], spoken: Sequence[SpokenPiece], seconds: float) -> None:
        for turn, piece in zip(batch, spoken, strict=True):
            request = turn.request
            try:
                check_finite(piece.samples)
                with self._changed:
                    self._pieces += 1
                    request.slowest = max(request.slowest, seconds)
                    request.spoken[turn.number] = turn.piece, piece
                    self._send(request)
                    self._changed.notify_all()
            except Exception as error:
                self._fail(request, error)

    def _fail_batch(self, batch: Sequence[_Turn[P]], error: Exception) -> None:
        """Fail the requests of a batch. If the GPU is lost, fail all, and end the process."""
        is_lost = isinstance(error, GpuLost)
        for request in list(self._open) if is_lost else [turn.request for turn in batch]:
            self._fail(request, error)
        if is_lost:
            exit_without_gpu(self._exit_process)

    def _send(self, request: _OpenRequest[P]) -> None:
        """Send, in order, the synthesized pieces that wait for no earlier one, and end the request after its last."""
        while request in self._open and request.sent in request.spoken:
            piece, spoken = request.spoken.pop(request.sent)
            request.sent += 1
            request.frames += len(spoken.samples) // self._pipeline.frame_samples
            audio = prepare_join(spoken.samples, piece.end, piece.speed)
            if len(audio):
                request.stream.audio(to_int16(audio), words=_words_sent(spoken))
                request.samples += len(audio)
                request.playback.sent(len(audio) / SPEECH_RATE, self._clock())
            if request.sent == request.begun and not request.pieces:
                request.stream.finish("stop", text_tokens=request.text_tokens, audio_frames=request.frames)
                self._open.remove(request)  # afterwards: if the end cannot be sent, the request fails

    def _fail(self, request: _OpenRequest[P], error: Exception) -> None:
        """End a request with an error, unless it has ended."""
        with self._changed:
            if request in self._open:
                self._open.remove(request)
                request.stream.fail(error)
                self._changed.notify_all()


def _words_sent(spoken: SpokenPiece) -> tuple[Word, ...]:
    """Return the words of a piece with their times from the first sample that is sent, none in the pause after it."""
    if not spoken.words:
        return ()
    first, last = (place / SPEECH_RATE for place in speech_bounds(spoken.samples))
    return ordered_words((word.shifted(-first) for word in spoken.words), last - first)
