"""The queue and the slots."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from adapters.qwen3_tts.frames import FRAME_SECONDS
from adapters.qwen3_tts.inflight.io.input_processor import PreparedInput
from adapters.qwen3_tts.inflight.scheduling.stream import Stream
from adapters.triton.errors import shutting_down
from tritone.errors import InvalidInput, Overloaded

_LONGEST_HINT = 60
"""Seconds. A client that would wait longer should use another server."""


@dataclass(frozen=True)
class Limits:
    """The capacity of the engine."""

    slots: int
    """Streams that are synthesized at once."""
    positions: int
    """Prompt tokens and frames of a slot."""
    queue: int
    """Requests that may wait for a slot."""
    queue_seconds: float
    """The longest wait for a slot."""

    @property
    def reservable(self) -> int:
        """The largest sum of frames of all open requests: the waiting ones may need as many as the slots hold."""
        return 2 * self.slots * self.positions


@dataclass(frozen=True)
class Load:
    """The state of queue and slots at one moment."""

    active: int
    """Streams with a slot."""
    waiting: int
    free_slots: int
    reserved: int
    """The largest number of frames that all open streams together may need."""


class Scheduler:
    """Keeps the open streams, for the threads that submit, prepare and step. Each method is atomic."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._free = list(range(limits.slots))  # a heap: low slots first, so that the rows of a batch are neighbours
        self._waiting: list[Stream] = []  # in order of arrival
        self._active: list[Stream] = []
        self._reserved = 0
        self._pace = FRAME_SECONDS  # seconds per frame of the stream that ended last
        self._closing = False
        self._changed = threading.Condition()

    def enqueue(self, stream: Stream) -> None:
        """Accept a stream. Its input is prepared later; raises `Overloaded` at capacity."""
        limits = self._limits
        stream.reserved = min(stream.request.max_tokens, limits.positions)
        stream.queue_deadline = min(stream.deadline, stream.arrived + limits.queue_seconds)
        with self._changed:
            if self._closing:
                raise shutting_down()
            if len(self._waiting) + len(self._active) >= limits.slots + limits.queue:
                raise Overloaded(f"at capacity ({limits.slots} slots, {limits.queue} waiting)", self.retry_after())
            if self._reserved + stream.reserved > limits.reservable:
                raise Overloaded("at capacity for a text of this length", self.retry_after())
            self._reserved += stream.reserved
            self._waiting.append(stream)
            self._changed.notify_all()

    def mark_ready(self, stream: Stream, prepared: PreparedInput) -> None:
        """Make a prepared stream eligible for a slot; raises `InvalidInput` if it does not fit into one."""
        prompt, request = len(prepared.prompt.embeddings), stream.request
        room = self._limits.positions - prompt
        if room < 2:  # an end comes after one token at the earliest, and a frame needs two
            raise InvalidInput(
                "text", f"needs {prompt} positions with its prompt; at most {self._limits.positions - 2}"
            )
        with self._changed:
            stream.prepared = prepared
            stream.limit = min(request.max_tokens, room)
            stream.limit_reason = request.limit_reason if request.max_tokens <= room else "length"
            self._changed.notify_all()

    def wake(self) -> None:
        """Wake the stepping thread, to make it look at changes outside the scheduler."""
        with self._changed:
            self._changed.notify_all()

    def wait_for_work(self) -> bool:
        """Wait for work, or until a stream has waited too long. Return False once the engine closes."""
        with self._changed:
            while not (self._closing or self._active or any(map(_runnable, self._waiting))):
                deadline = min((stream.queue_deadline for stream in self._waiting), default=math.inf)
                seconds = deadline - self._clock()
                if seconds <= 0:
                    break
                self._changed.wait(min(seconds, threading.TIMEOUT_MAX))
            return not self._closing

    def close(self) -> None:
        """Reject new streams."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def admit_next(self) -> Stream | None:
        """Give a slot to the prepared stream that has waited longest. Return None if there is no slot or no stream."""
        with self._changed:
            stream = next((stream for stream in self._waiting if stream.prepared), None)
            if stream is None or not self._free:
                return None
            self._waiting.remove(stream)
            self._active.append(stream)
            stream.slot = heapq.heappop(self._free)
            stream.joined = self._clock()
            return stream

    def remove(self, stream: Stream) -> bool:
        """Free all that a stream holds. Return False if it was removed before."""
        with self._changed:
            if stream in self._active:
                self._active.remove(stream)
                heapq.heappush(self._free, stream.slot)
            elif stream in self._waiting:
                self._waiting.remove(stream)
            else:
                return False
            self._reserved -= stream.reserved
            self._pace = stream.pace(self._clock()) or self._pace
            stream.over = True
            return True

    def open_streams(self) -> list[Stream]:
        """Return all streams, with and without a slot."""
        with self._changed:
            return [*self._active, *self._waiting]

    def active_streams(self) -> list[Stream]:
        """Return the streams with a slot, in the order of their admission."""
        with self._changed:
            return list(self._active)

    def decodable_streams(self) -> list[Stream]:
        """Return the streams of the next frame, by slot."""
        with self._changed:
            decodable = [stream for stream in self._active if stream.can_decode]
        return sorted(decodable, key=lambda stream: stream.slot)

    def load(self) -> Load:
        """Return the present load."""
        with self._changed:
            return Load(len(self._active), len(self._waiting), len(self._free), self._reserved)

    def retry_after(self) -> int:
        """Estimate the seconds until a slot is free."""
        now = self._clock()
        with self._changed:
            soonest = min((stream.seconds_left(now, self._pace) for stream in self._active), default=0.0)
        return min(max(1, math.ceil(soonest)), _LONGEST_HINT)


def _runnable(stream: Stream) -> bool:
    return stream.prepared is not None or stream.sink.closed
