"""Who is taken, who has a slot, who waits, and who goes first."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from adapters.qwen3_tts.inflight.stream import FRAME_SECONDS, Prepared, Stream
from tritone.errors import InvalidInput, Overloaded

_LONGEST_HINT = 60
"""Seconds; whoever waits for longer had better ask another server."""


@dataclass(frozen=True)
class Limits:
    """How much the engine takes on."""

    slots: int
    """Streams that are spoken at once."""
    positions: int
    """Prompt tokens and frames that a slot holds."""
    queue: int
    """Requests that may wait for a slot."""
    queue_seconds: float
    """How long they may."""
    batch: int
    """Streams that are stepped at once."""

    @property
    def reservable(self) -> int:
        """Frames that all open requests together may come to: as many may wait as fit into the slots."""
        return 2 * self.slots * self.positions


@dataclass(frozen=True)
class Load:
    """What the engine has in work at one moment."""

    active: int
    """Streams with a slot."""
    waiting: int
    free_slots: int
    reserved: int
    """Frames that all open streams together may come to."""


class Scheduler:
    """Keeps the open streams, for the threads that submit, prepare and step. Each method is atomic."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._free = list(range(limits.slots))  # a heap: low slots first, so that batches lie close together
        self._waiting: list[Stream] = []  # in order of arrival
        self._active: list[Stream] = []
        self._reserved = 0
        self._pace = FRAME_SECONDS  # of the stream that ended last, in seconds a frame
        self._closing = False
        self._changed = threading.Condition()

    def admit(self, stream: Stream) -> None:
        """Take a stream to be prepared; raises `Overloaded` when full."""
        limits = self._limits
        stream.reserved = min(stream.utterance.max_tokens, limits.positions)
        stream.patience = min(stream.deadline, stream.arrived + limits.queue_seconds)
        with self._changed:
            if self._closing:
                raise Overloaded("the model is shutting down; try another server")
            if len(self._waiting) + len(self._active) >= limits.slots + limits.queue:
                raise Overloaded(f"{limits.slots} requests are spoken and {limits.queue} wait", self.retry_after())
            if self._reserved + stream.reserved > limits.reservable:
                raise Overloaded("no room is left for a text of this length", self.retry_after())
            self._reserved += stream.reserved
            self._waiting.append(stream)
            self._changed.notify_all()

    def ready(self, stream: Stream, prepared: Prepared) -> None:
        """Let a prepared stream take a slot; raises `InvalidInput` where none would hold it."""
        prompt, utterance = len(prepared.prompt.embeddings), stream.utterance
        room = self._limits.positions - prompt
        if room < 2:  # what is said in reply ends after one token at the earliest, and one frame needs two
            raise InvalidInput("text", f"comes to {prompt} positions with its prompt; {self._limits.positions - 2} fit")
        with self._changed:
            stream.prepared = prepared
            stream.limit = min(utterance.max_tokens, room)
            stream.cut = utterance.cut if utterance.max_tokens <= room else "length"
            self._changed.notify_all()

    def wake(self) -> None:
        """Something has happened outside that the stepping thread should look at."""
        with self._changed:
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait for work, or for somebody's patience to end; False once the engine closes."""
        with self._changed:
            while not (self._closing or self._active or any(map(_runnable, self._waiting))):
                patience = min((stream.patience for stream in self._waiting), default=math.inf) - self._clock()
                if patience <= 0:
                    break
                self._changed.wait(min(patience, threading.TIMEOUT_MAX))
            return not self._closing

    def close(self) -> None:
        """Admit nobody any more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self) -> Stream | None:
        """The prepared stream that has waited longest, with a slot of its own from now on; None: none can be."""
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
        """Take back all that a stream holds; False where it has been removed before."""
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

    def open(self) -> list[Stream]:
        """Every stream."""
        with self._changed:
            return [*self._active, *self._waiting]

    def active(self) -> list[Stream]:
        """The streams that have a slot, in the order in which they got it."""
        with self._changed:
            return list(self._active)

    def batch(self) -> list[Stream]:
        """The streams to make a frame of, by slot: where there are too many, those whose listeners run dry first."""
        now = self._clock()
        with self._changed:
            speaking = [stream for stream in self._active if stream.speaks]
        chosen = heapq.nsmallest(self._limits.batch, speaking, key=lambda stream: stream.credit(now))
        return sorted(chosen, key=lambda stream: stream.slot)

    def load(self) -> Load:
        """What is in work."""
        with self._changed:
            return Load(len(self._active), len(self._waiting), len(self._free), self._reserved)

    def retry_after(self) -> int:
        """In how many seconds there will probably be a place: when the first of those that are spoken ends."""
        now = self._clock()
        with self._changed:
            soonest = min((stream.seconds_left(now, self._pace) for stream in self._active), default=0.0)
        return min(max(1, math.ceil(soonest)), _LONGEST_HINT)


def _runnable(stream: Stream) -> bool:
    return stream.prepared is not None or stream.way.gone
