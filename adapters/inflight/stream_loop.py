"""The part of a stepping thread that is the same for every engine: streams that leave, and the resources they free."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from adapters.inflight.scheduler import Schedulable, Scheduler
from adapters.triton.metrics import EngineCounts
from tritone.errors import DeadlinePassed, Overloaded, TritoneError


class Sink(Protocol):
    """The receiver of a stream's result."""

    def fail(self, error: BaseException) -> None:
        """End the result with an error."""


class LoopStream(Schedulable, Protocol):
    """A stream, as its loop sees it."""

    @property
    def sink(self) -> Sink:
        """The receiver of its result."""

    @property
    def progress(self) -> str:
        """The amount of its result so far, for the error of a deadline: `12 frames of audio`."""


StreamT = TypeVar("StreamT", bound=LoopStream)


class StreamLoop(Generic[StreamT]):
    """Evicts streams, and frees their slots; a family adds its step. For one thread, which alone uses the model.

    An error of one stream ends it. An error of a batch ends all streams in it, because the state of each is unknown.
    """

    def __init__(self, scheduler: Scheduler[StreamT], clock: Callable[[], float] = time.monotonic) -> None:
        self.faults = 0
        """Streams that ended by an internal error."""
        self.batches = 0
        """Batches computed so far."""
        self.batch_items = 0
        """Their rows: each is a frame, a token or a step of one stream."""
        self._scheduler = scheduler
        self._clock = clock

    def step(self) -> None:
        """Advance all streams; handles the errors of single streams and batches itself."""
        raise NotImplementedError

    def counts(self) -> EngineCounts:
        """Return the slots and the counts of the batches; from any thread."""
        return EngineCounts(self._scheduler.slots, self.batches, self.batch_items)

    def fail(self, stream: StreamT, error: BaseException) -> None:
        """End a stream with an error, and free what it holds. One that is over stays as it is."""
        if not stream.over:
            self.faults += not isinstance(error, TritoneError)
            stream.sink.fail(error)
            self._free(stream)

    def _evict(self) -> None:
        """End the streams that are cancelled, cannot be prepared, wait too long for a slot, or pass their deadline."""
        now = self._clock()
        for stream in self._scheduler.open_streams():
            if stream.is_closed:
                self._free(stream)
            elif error := stream.error:
                stream.error = None  # its traceback holds the stream
                self.fail(stream, error)
            elif stream.slot < 0 and now >= stream.queue_deadline:
                self.fail(stream, Overloaded("timed out waiting for a slot", self._scheduler.retry_after()))
            elif now >= stream.deadline:
                self.fail(stream, DeadlinePassed(f"the request timed out after {stream.progress}"))

    def _count_batch(self, rows: int) -> None:
        self.batches += 1
        self.batch_items += rows

    def _free(self, stream: StreamT) -> None:
        if self._scheduler.remove(stream) and stream.slot >= 0:
            self._release(stream)

    def _release(self, stream: StreamT) -> None:
        """Free what the model holds in the slot of `stream`."""
        raise NotImplementedError
