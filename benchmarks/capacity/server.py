"""A simulated server: an in-flight engine, in which all streams share the frames of the engine."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Generator
from itertools import count
from typing import Any

import simpy

from benchmarks.capacity.speeds import Speeds
from benchmarks.capacity.traffic import Request


class SimulatedServer:
    """Advances its streams frame by frame, and admits waiting requests in the order of their arrival.

    Between two events the number of streams does not change, so that no frame has to be simulated: the server counts
    the frames that every stream has advanced since the start, and a request's first audio and its end have a place on
    this count.
    """

    def __init__(self, environment: simpy.Environment, speeds: Speeds) -> None:
        """Start a server that is ready at once."""
        self._environment = environment
        self._speeds = speeds
        self._waiting: deque[Request] = deque()
        self._places: list[tuple[int, int, Request, bool]] = []
        """The frame count of an event, its number, the request, and whether it is the request's end; a heap."""
        self._numbers = count()
        self._frames = 0
        self._streams = self._speaking = 0
        self._changed = environment.event()
        environment.process(self._run())

    @property
    def open(self) -> int:
        """Requests that wait or are streams."""
        return len(self._waiting) + self._streams

    @property
    def silent(self) -> int:
        """Requests that have no audio yet."""
        return self.open - self._speaking

    def send(self, request: Request) -> None:
        """Accept a request."""
        self._waiting.append(request)
        if not self._changed.triggered:
            self._changed.succeed()

    def _run(self) -> Generator[simpy.Event, Any]:
        while True:
            while self._waiting and self._streams < self._speeds.slots:
                yield from self._admit(self._waiting.popleft())
            if not self._places:
                yield self._changed
            else:
                yield from self._advance()
            if self._changed.triggered:
                self._changed = self._environment.event()

    def _admit(self, request: Request) -> Generator[simpy.Event, Any]:
        self._streams += 1
        for piece in range(self._speeds.prefill_pieces):
            if piece and self._places:
                yield self._environment.timeout(self._speeds.frame(self._streams - 1))
                self._frames += 1
                self._reach()
            yield self._environment.timeout(self._speeds.prefill_seconds / self._speeds.prefill_pieces)
        first = min(self._speeds.first_frames, request.frames)
        for frames, ends in ((first, False), (request.frames, True)):
            heapq.heappush(self._places, (self._frames + frames, next(self._numbers), request, ends))

    def _advance(self) -> Generator[simpy.Event, Any]:
        """Advance to the next event of a stream, or until a request arrives that finds a free slot."""
        seconds, began = self._speeds.frame(self._streams), self._environment.now
        until = self._environment.timeout((self._places[0][0] - self._frames) * seconds)
        if self._streams < self._speeds.slots:
            yield until | self._changed
        else:
            yield until
        if not until.processed:  # the engine admits a request when its frame is complete
            advanced = (self._environment.now - began) / seconds
            whole = math.ceil(advanced - 1e-9)
            yield self._environment.timeout(max(0.0, whole - advanced) * seconds)
            self._frames += whole
            return
        self._frames = self._places[0][0]
        self._reach()

    def _reach(self) -> None:
        """Note the first audios and the ends that the frame count has reached."""
        while self._places and self._places[0][0] <= self._frames:
            _, _, request, ends = heapq.heappop(self._places)
            if ends:
                request.ended = self._environment.now
                self._streams -= 1
                self._speaking -= 1
            else:
                self._speaking += 1
                request.first_audio = self._environment.now
