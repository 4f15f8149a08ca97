"""Streams, events and graphs without a driver. Every operation is checked against the rules that CUDA does not check.

Each stream has a vector clock. An operation must be ordered behind the last writer of all that it touches, and a writer
behind the last readers too; memory must not be freed while a stream that its allocator does not know still uses it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

Clock = dict[int, int]
"""Stream number -> the number of its operations that are known to be done."""


def _merge(clock: Clock, other: Clock) -> None:
    for number, time in other.items():
        if clock.get(number, 0) < time:
            clock[number] = time


class CaptureError(RuntimeError):
    """Work that no CUDA graph can hold."""


@dataclass(eq=False)
class _Memory:
    """What the streams have done with one allocation."""

    alive: StorageWeakRef
    owner: int
    """The stream that its allocator knows."""
    written: tuple[int, int] = (0, 0)
    """Stream and time of the last write."""
    by: str = ""
    read: Clock = field(default_factory=dict)
    """Stream -> the time of its last use."""
    recorded: set[int] = field(default_factory=set)
    """The streams of `record_stream`."""


class Stream:
    """Stands in for `torch.cuda.Stream`."""

    driver: Driver

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.number = self.driver.new_number()
        self.priority = priority
        self.device_index = 0
        self.clock: Clock = {}

    def wait_event(self, event: Event) -> None:
        if event.clock is None:
            self.driver.note("a stream waits for an event that was never recorded")
        else:
            _merge(self.clock, event.clock)

    def wait_stream(self, other: Stream) -> None:
        _merge(self.clock, other.clock)

    def record_event(self) -> Event:
        event = Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        self.driver.wait("Stream.synchronize", self.clock)

    def query(self) -> bool:
        return True


class Event:
    """Stands in for `torch.cuda.Event`."""

    driver: Driver

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        self.blocking = blocking
        self.clock: Clock | None = None

    def record(self, stream: Stream | None = None) -> None:
        self.clock = {**self.driver.host}
        _merge(self.clock, (stream or self.driver.current).clock)

    def synchronize(self) -> None:
        if self.clock is None:
            self.driver.note("the host waits for an event that was never recorded")
        self.driver.learn(self.clock or {})

    def query(self) -> bool:
        self.synchronize()
        return True


class CUDAGraph:
    """Stands in for `torch.cuda.CUDAGraph`. A replay repeats the captured operations on the captured memory."""

    driver: Driver

    def __init__(self) -> None:
        self.operations: list[Callable[[], None]] = []
        self.pool: Any = None

    def replay(self) -> None:
        self.driver.use_pool(self.pool)
        for operation in self.operations:
            operation()


class Driver:
    """The state of the pretended GPU, and the breaches so far."""

    def __init__(self) -> None:
        self.breaches: list[str] = []
        """Races, uses of freed memory, and waits for events that were never recorded."""
        self.waits: Counter[tuple[str, str]] = Counter()
        """(Thread, operation) -> how often the host waited for all work of a stream, or copied unpinned memory."""
        self.captured = 0
        self.replays = 0
        self.host: Clock = {}
        self._streams = 0
        self._memory: dict[int, _Memory] = {}
        self._shared: dict[int, _Memory] = {}
        """Allocations that more than one stream has used."""
        self._pools: dict[Any, tuple[int, int]] = {}
        self._lock = threading.RLock()
        self._local = threading.local()
        for kind in (Stream, Event, CUDAGraph):
            kind.driver = self
        self.default = Stream()
        self.capturing: CUDAGraph | None = None
        self._capturing_thread = 0

    @property
    def current(self) -> Stream:
        """The calling thread's current stream."""
        stream: Stream = getattr(self._local, "stream", self.default)
        return stream

    @property
    def is_capturing(self) -> bool:
        """True while the calling thread captures a graph."""
        return self.capturing is not None and self._capturing_thread == threading.get_ident()

    def new_number(self) -> int:
        """Return the number of a new stream."""
        with self._lock:
            self._streams += 1
            return self._streams

    def note(self, breach: str) -> None:
        """Note a breach."""
        self.breaches.append(f"{threading.current_thread().name}: {breach}")

    def wait(self, operation: str, clock: Clock | None = None) -> None:
        """Let the host wait for a stream, which no capture allows."""
        if self.is_capturing:
            raise CaptureError(f"{operation} waits for the device in a capture")
        self.waits[threading.current_thread().name, operation] += 1
        self.learn(self.current.clock if clock is None else clock)

    def learn(self, clock: Clock) -> None:
        """Let the host know that operations are done. What was freed before must not have been in use."""
        with self._lock:
            self._check_freed()
            _merge(self.host, clock)

    def synchronize(self, device: Any = None) -> None:
        """Stand in for `torch.cuda.synchronize`."""
        with self._lock:
            if self.is_capturing:
                raise CaptureError("torch.cuda.synchronize in a capture")
            self.learn(self._latest())

    def set_stream(self, stream: Stream | None) -> None:
        """Stand in for `torch.cuda.set_stream`."""
        if stream is not None:
            self._local.stream = stream

    @contextmanager
    def stream(self, stream: Stream | None) -> Iterator[None]:
        """Stand in for `torch.cuda.stream`."""
        before = self.current
        self.set_stream(stream)
        try:
            yield
        finally:
            self._local.stream = before

    @contextmanager
    def graph(self, graph: CUDAGraph, pool: Any, stream: Stream, capture_error_mode: str = "global") -> Iterator[None]:
        """Stand in for `torch.cuda.graph`."""
        self.synchronize()
        if capture_error_mode == "global" and self._streams > 1:
            self.note("a capture that forbids the allocations of all other threads")
        graph.pool = pool
        with self.stream(stream):
            self.capturing, self._capturing_thread = graph, threading.get_ident()
            try:
                yield
            finally:
                self.capturing = None
        self.captured += 1

    def use_pool(self, pool: Any) -> None:
        """Check that replays which share their intermediate memory run in order."""
        with self._lock:
            self.replays += 1
            stream = self.current
            number, time = self._pools.get(pool, (0, 0))
            if number and not self._is_done(stream, number, time):
                self.note("graphs that share their memory are replayed on streams that are not in order")
            self._pools[pool] = stream.number, stream.clock.get(stream.number, 0) + 1

    def record_stream(self, tensor: Tensor, stream: Stream | None) -> None:
        """Stand in for `Tensor.record_stream`."""
        if stream is not None:
            self._of(tensor, self.current.number).recorded.add(stream.number)

    def run(self, name: str, reads: Iterable[Tensor], writes: Iterable[Tensor]) -> None:
        """Issue an operation on the current stream."""
        with self._lock:
            stream = self.current
            number = stream.number
            time = stream.clock[number] = stream.clock.get(number, 0) + 1
            for tensor in reads:
                memory = self._of(tensor, number)
                self._check_written(name, memory, stream)
                memory.read[number] = time
            for tensor in writes:
                memory = self._of(tensor, number)
                self._check_written(name, memory, stream)
                for other, last in memory.read.items():
                    if not self._is_done(stream, other, last):
                        self.note(f"{name} overwrites what stream {other} may not have read yet ({memory.by})")
                memory.written, memory.by = (number, time), name
                memory.read[number] = time

    def finish(self) -> None:
        """Check what was freed last."""
        self.learn({})

    def _of(self, tensor: Tensor, number: int) -> _Memory:
        storage = tensor.untyped_storage()
        key = storage._cdata
        memory = self._memory.get(key)
        if memory is None or memory.alive.expired():
            if memory is not None:
                self._check(memory)
                self._shared.pop(key, None)
            memory = self._memory[key] = _Memory(StorageWeakRef(storage), number)
        elif number != memory.owner:
            self._shared[key] = memory
        return memory

    def _is_done(self, stream: Stream, other: int, time: int) -> bool:
        """Return True if work of another stream is done before new work of `stream` begins."""
        return other == stream.number or stream.clock.get(other, 0) >= time or self.host.get(other, 0) >= time

    def _check_written(self, name: str, memory: _Memory, stream: Stream) -> None:
        other, time = memory.written
        if other and not self._is_done(stream, other, time):
            self.note(f"{name} on stream {stream.number} does not wait for {memory.by} on stream {other}")

    def _check_freed(self) -> None:
        for key, memory in [*self._shared.items()]:
            if memory.alive.expired():
                del self._shared[key]
                self._memory.pop(key, None)
                self._check(memory)

    def _check(self, memory: _Memory) -> None:
        for number, time in memory.read.items():
            if number != memory.owner and number not in memory.recorded and self.host.get(number, 0) < time:
                self.note(f"memory of {memory.by} was freed while stream {number} may still use it")

    def _latest(self) -> dict[int, int]:
        latest: Clock = {}
        for memory in self._memory.values():
            _merge(latest, memory.read)
        return latest


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors among nested values, in their order."""
    if isinstance(values, Tensor):
        return [values]
    if values is None or isinstance(values, str | int | float | torch.dtype | torch.device):
        return []
    return [tensor for value in values for tensor in tensors_in(value)] if isinstance(values, Iterable) else []


def aliases(results: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Return True if the results are views of the inputs, or the inputs themselves."""
    known = {each.untyped_storage()._cdata for each in inputs}
    return all(each.untyped_storage()._cdata in known for each in results)


def repeat(func: Any, args: Any, kwargs: Any, results: Sequence[Tensor]) -> None:
    """Run a captured operation again, into the memory of its first results."""
    for kept, new in zip(results, tensors_in(func(*args, **kwargs)), strict=True):
        if kept is not new:
            kept.copy_(new)
