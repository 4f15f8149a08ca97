"""A simulated server: an in-flight engine, in which all streams share the frames of the engine."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from typing import Any

import simpy

from adapters.inflight.chunked_prefill import plan_prefill
from benchmarks.capacity.speeds import Speeds
from benchmarks.capacity.traffic import Request


@dataclass(eq=False)
class _Stream:
    request: Request
    unread: int
    """Tokens of its prompt that are not read."""
    ends: int = 0
    """The frame count at which its last token, which has no audio, is drawn."""
    chunks: int = 0
    """Chunks of audio that are decoded."""
    decoded: int = 0
    """Their frames."""


class SimulatedServer:
    """Does in each step what the engine does: admit, read a piece of the prompts, make a frame, decode the audio due.

    While no prompt is being read and no audio is due, no frame has to be simulated: the server counts the frames that
    every stream has advanced since the start, and what comes next in each stream has a place on this count.
    """

    def __init__(self, environment: simpy.Environment, speeds: Speeds) -> None:
        """Start a server that is ready at once."""
        self._environment = environment
        self._speeds = speeds
        self._waiting: deque[Request] = deque()
        self._reading: list[_Stream] = []
        """Streams whose prompts are being read, in the order of their admission."""
        self._places: list[tuple[int, int, _Stream]] = []
        """The frame count at which a stream has its next chunk or its end, and a number; a heap."""
        self._numbers = count()
        self._frames = 0
        self._decoding = self._speaking = 0
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

    @property
    def _streams(self) -> int:
        return len(self._reading) + self._decoding

    def send(self, request: Request) -> None:
        """Accept a request."""
        self._waiting.append(request)
        if not self._changed.triggered:
            self._changed.succeed()

    def _run(self) -> Generator[simpy.Event, Any]:
        while True:
            while self._waiting and self._streams < self._speeds.slots:
                self._reading.append(_Stream(self._waiting.popleft(), self._speeds.prompt_tokens))
            if self._reading:
                yield from self._read()
                if self._decoding:
                    yield self._environment.timeout(self._speeds.frame(self._decoding))
                    self._frames += 1
            elif self._decoding:
                yield from self._advance()
            else:
                yield self._changed
            yield from self._reach()
            if self._changed.triggered:
                self._changed = self._environment.event()

    def _read(self) -> Generator[simpy.Event, Any]:
        """Read the next piece of the prompts, as the engine plans it."""
        unread = [(stream, stream.unread) for stream in self._reading]
        planned = plan_prefill(unread, self._speeds.prefill_tokens, alone=not self._decoding)
        yield self._environment.timeout(self._speeds.prefill(sum(planned.values())))
        for stream, tokens in planned.items():
            stream.unread -= tokens
            if not stream.unread:
                self._reading.remove(stream)
                self._decoding += 1
                stream.ends = self._frames + stream.request.frames + 1
                self._place(stream)

    def _place(self, stream: _Stream) -> None:
        """Note where a stream has its next chunk, if that is complete before the end, or its end."""
        left = stream.request.frames - stream.decoded
        size = self._speeds.chunk_frames(stream.chunks)
        place = stream.ends - 1 - left + int(size) if size <= left else stream.ends
        heapq.heappush(self._places, (place, next(self._numbers), stream))

    def _advance(self) -> Generator[simpy.Event, Any]:
        """Advance to the next place of a stream, or until a request arrives that finds a free slot."""
        seconds, began = self._speeds.frame(self._decoding), self._environment.now
        until = self._environment.timeout((self._places[0][0] - self._frames) * seconds)
        if self._streams < self._speeds.slots:
            yield until | self._changed
        else:
            yield until
        if until.processed:
            self._frames = self._places[0][0]
        else:  # the engine admits a request when its frame is complete
            advanced = (self._environment.now - began) / seconds
            whole = math.ceil(advanced - 1e-9)
            yield self._environment.timeout(max(0.0, whole - advanced) * seconds)
            self._frames += whole

    def _reach(self) -> Generator[simpy.Event, Any]:
        """Decode the chunks that are due at this frame count, first ones first, and end the complete streams."""
        due: list[_Stream] = []
        while self._places and self._places[0][0] <= self._frames:
            due.append(heapq.heappop(self._places)[2])
        for stream in sorted(due, key=lambda stream: stream.chunks > 0):
            yield from self._decode(stream)
            if stream.ends > self._frames:
                self._place(stream)
        for stream in due:
            if stream.ends <= self._frames:
                stream.request.ended = self._environment.now
                self._decoding -= 1
                self._speaking -= 1

    def _decode(self, stream: _Stream) -> Generator[simpy.Event, Any]:
        """Decode the next chunk of a stream, or what is left of it."""
        frames = min(stream.request.frames - stream.decoded, self._speeds.chunk_frames(stream.chunks))
        if not frames:
            return
        if seconds := self._speeds.decode(int(frames)):
            yield self._environment.timeout(seconds)
        if not stream.chunks:
            self._speaking += 1
            stream.request.first_audio = self._environment.now
        stream.chunks += 1
        stream.decoded += int(frames)
