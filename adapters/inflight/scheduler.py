"""The queue and the slots."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from adapters.triton.errors import shutting_down
from tritone.errors import Overloaded

_LONGEST_HINT = 60
"""Seconds. A client that would wait longer should use another server."""


class Schedulable(Protocol):
    """A stream, as the scheduler sees it. Times are those of the scheduler's clock."""

    arrived: float
    deadline: float
    """The time after which the client has no use for the result."""
    queue_deadline: float
    """The time until which the stream may wait for a slot; set by the scheduler."""
    reserved: int
    """The largest number of tokens that the stream may need; set by the scheduler."""
    slot: int
    """-1: none yet."""
    joined: float
    """The time at which the stream got its slot."""
    is_prepared: bool
    """True once the stream's input is prepared; set by the scheduler. It cannot get a slot before."""
    error: BaseException | None
    """The reason why the stream's input cannot be prepared; set by the scheduler. The loop then ends the stream."""
    over: bool
    """True once the stream holds no resources."""

    @property
    def priority(self) -> int:
        """Streams with a lower number get a slot first."""

    @property
    def is_closed(self) -> bool:
        """True if the result has no receiver any more."""

    @property
    def can_decode(self) -> bool:
        """True if the stream takes part in the next step."""

    def pace(self, now: float) -> float | None:
        """Return the seconds per token since the stream got its slot; None before the first token."""

    def seconds_left(self, now: float, usual_pace: float) -> float:
        """Estimate the seconds until the slot is free; `usual_pace`: for a stream without a pace of its own."""


@dataclass(frozen=True)
class Limits:
    """The capacity of the engine."""

    slots: int
    """Streams that are computed at once."""
    positions: int
    """Tokens of a slot, those of the prompt included."""
    queue: int
    """Requests that may wait for a slot."""
    queue_seconds: float
    """The longest wait for a slot."""

    @property
    def reservable(self) -> int:
        """The largest sum of tokens of all open requests: the waiting ones may need as many as the slots hold."""
        return 2 * self.slots * self.positions


@dataclass(frozen=True)
class Load:
    """The state of queue and slots at one moment."""

    active: int
    """Streams with a slot."""
    waiting: int
    free_slots: int
    reserved: int
    """The largest number of tokens that all open streams together may need."""


S = TypeVar("S", bound=Schedulable)


class Scheduler(Generic[S]):
    """Keeps the open streams, for the threads that submit, prepare and step. Each method is atomic."""

    def __init__(self, limits: Limits, usual_pace: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`usual_pace`: seconds per token, until a stream has ended."""
        self._limits = limits
        self._clock = clock
        self._free = list(range(limits.slots))  # a heap: low slots first, so that the rows of a batch are neighbours
        self._waiting: list[S] = []  # in order of arrival
        self._active: list[S] = []
        self._reserved = 0
        self._pace = usual_pace  # of the stream that ended last
        self._closing = False
        self._changed = threading.Condition()

    @property
    def slots(self) -> int:
        """Streams that are computed at once."""
        return self._limits.slots

    def enqueue(self, stream: S, tokens: int = 0) -> None:
        """Accept a stream that may need so many tokens; its input is prepared later.

        Raises `Overloaded` at capacity.
        """
        limits = self._limits
        stream.reserved = min(tokens, limits.positions)
        stream.queue_deadline = min(stream.deadline, stream.arrived + limits.queue_seconds)
        with self._changed:
            if self._closing:
                raise shutting_down()
            if len(self._waiting) + len(self._active) >= limits.slots + limits.queue:
                raise Overloaded(f"at capacity ({limits.slots} slots, {limits.queue} waiting)", self.retry_after())
            if self._reserved + stream.reserved > limits.reservable:
                raise Overloaded("at capacity for a request of this length", self.retry_after())
            self._reserved += stream.reserved
            self._waiting.append(stream)
            self._changed.notify_all()

    def wake(self) -> None:
        """Wake the waiting threads, to make them look at changes outside the scheduler."""
        with self._changed:
            self._changed.notify_all()

    def wait_for_work(self) -> bool:
        """Wait for work, or until a stream has waited too long. Return False once the engine closes."""
        with self._changed:
            while not (self._closing or self._active or any(map(_needs_loop, self._waiting))):
                deadline = min((stream.queue_deadline for stream in self._waiting), default=math.inf)
                seconds = deadline - self._clock()
                if seconds <= 0:
                    break
                self._changed.wait(min(seconds, threading.TIMEOUT_MAX))
            return not self._closing

    def wait_for_input(self, most: int) -> S | None:
        """Return the next stream to prepare, while fewer than `most` prepared ones wait. None: the engine closes."""
        with self._changed:
            while not self._closing:
                open_streams = [stream for stream in self._waiting if not stream.is_closed]
                unprepared = [stream for stream in open_streams if not (stream.is_prepared or stream.error)]
                if unprepared:
                    chosen = min(unprepared, key=_priority)
                    # One that waits behind `chosen` is no reason to let it wait.
                    before = [s for s in open_streams if s.is_prepared and _priority(s) <= _priority(chosen)]
                    if len(before) < most:
                        return chosen
                self._changed.wait()
            return None

    def mark_prepared(self, stream: S) -> None:
        """Let a stream have a slot: its input is complete, and other threads may read it."""
        with self._changed:
            stream.is_prepared = True
            self._changed.notify_all()

    def mark_failed(self, stream: S, error: BaseException) -> None:
        """Hand a failed preparation to the loop, which ends the stream and checks whether the GPU is lost."""
        with self._changed:
            stream.error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Reject new streams."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def admit_next(self) -> S | None:
        """Give a slot to a prepared stream: of those with the least priority number the one that has waited longest.

        Return None if there is no slot or no stream.
        """
        with self._changed:
            stream = min((stream for stream in self._waiting if stream.is_prepared), key=_priority, default=None)
            if stream is None or not self._free:
                return None
            self._waiting.remove(stream)
            self._active.append(stream)
            stream.slot = heapq.heappop(self._free)
            stream.joined = self._clock()
            self._changed.notify_all()
            return stream

    def remove(self, stream: S) -> bool:
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
            self._changed.notify_all()
            return True

    def open_streams(self) -> list[S]:
        """Return all streams, with and without a slot."""
        with self._changed:
            return [*self._active, *self._waiting]

    def active_streams(self) -> list[S]:
        """Return the streams with a slot, in the order of their admission."""
        with self._changed:
            return list(self._active)

    def decodable_streams(self) -> list[S]:
        """Return the streams of the next step, by slot."""
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


def _needs_loop(stream: Schedulable) -> bool:
    return stream.is_prepared or stream.is_closed or stream.error is not None


def _priority(stream: Schedulable) -> int:
    return stream.priority
