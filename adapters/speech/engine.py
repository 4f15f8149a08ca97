"""The engine of speech families that synthesize a text part by part: many requests share one network."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic

from adapters.speech.joins import prepare_join, speech_bounds
from adapters.speech.pipeline import P, SpeechPipeline, SpokenPiece
from adapters.speech.playback_clock import PlaybackClock
from adapters.triton.errors import client_left, shutting_down
from adapters.triton.metrics import EngineCounts
from adapters.triton.response_stream import ResponseStream
from adapters.triton.samples import to_int16
from adapters.triton.speech_engine import check_capacity
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.transcript import Word
from tritone.word_times import ordered_words


@dataclass(eq=False)
class _OpenRequest(Generic[P]):
    """A request that is not yet ended."""

    stream: ResponseStream
    pieces: deque[P]
    text_tokens: int
    frames: int = 0
    playback: PlaybackClock = field(default_factory=PlaybackClock)


class PartByPartEngine(Generic[P]):
    """Synthesize one piece at a time, on a thread of its own.

    Requests without audio come first, in order of arrival. Then comes the request with the least audio left to play.
    """

    def __init__(
        self, pipeline: SpeechPipeline[P], *, max_requests: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.description: SpeechDescription = pipeline.description
        self._pipeline = pipeline
        self._max_requests = max_requests
        self._clock = clock
        self._open: list[_OpenRequest[P]] = []  # in order of arrival
        self._closing = False
        self._pieces = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="speech", daemon=True)
        self._thread.start()

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        """Accept a request; raises `InvalidInput` where its text has no words, `Overloaded` at capacity."""
        pieces = deque(self._pipeline.pieces(request))
        with self._changed:
            check_capacity(len(self._open), self._max_requests, closing=self._closing)
            self._open.append(_OpenRequest(stream, pieces, sum(piece.text_tokens for piece in pieces)))
            self._changed.notify()

    def counts(self) -> EngineCounts:
        """Return one slot: pieces of different requests take turns, each alone."""
        return EngineCounts(1, self._pieces, self._pieces)

    def close(self) -> None:
        """Accept no more requests; open ones fail after the piece in progress."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait_for_work():
            for request in self._snapshot():
                if request.stream.is_cancelled():
                    self._fail(request, client_left())
            now = self._clock()
            if waiting := self._snapshot():
                self._step(min(waiting, key=lambda request: request.playback.buffered_seconds(now)))
        for request in self._snapshot():
            self._fail(request, shutting_down())

    def _wait_for_work(self) -> bool:
        """Return True once a request is open, False once the engine closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._closing)
            return not self._closing

    def _snapshot(self) -> list[_OpenRequest[P]]:
        with self._changed:
            return list(self._open)

    def _step(self, request: _OpenRequest[P]) -> None:
        """Synthesize and send the next piece of a request."""
        try:
            request.stream.start()
            piece = request.pieces.popleft()
            spoken = self._pipeline.speak(piece)
            self._pieces += 1
            request.frames += len(spoken.samples) // self._pipeline.frame_samples
            audio = prepare_join(spoken.samples, piece.end, piece.speed)
            if len(audio):
                request.stream.audio(to_int16(audio), words=_words_sent(spoken))
                request.playback.sent(len(audio) / SPEECH_RATE, self._clock())
            if not request.pieces:
                self._remove(request)
                request.stream.finish("stop", text_tokens=request.text_tokens, audio_frames=request.frames)
        except Exception as error:
            self._fail(request, error)

    def _fail(self, request: _OpenRequest[P], error: Exception) -> None:
        self._remove(request)
        request.stream.fail(error)

    def _remove(self, request: _OpenRequest[P]) -> None:
        with self._changed:
            if request in self._open:
                self._open.remove(request)


def _words_sent(spoken: SpokenPiece) -> tuple[Word, ...]:
    """Return the words of a piece with their times from the first sample that is sent, none in the pause after it."""
    if not spoken.words:
        return ()
    first, last = (place / SPEECH_RATE for place in speech_bounds(spoken.samples))
    return ordered_words((word.shifted(-first) for word in spoken.words), last - first)
