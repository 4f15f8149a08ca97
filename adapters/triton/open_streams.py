"""The streams that a model has not ended yet."""

from __future__ import annotations

import threading
from typing import Generic, Protocol, TypeVar

from adapters.triton.metrics import Metrics


class _Stream(Protocol):
    def fail(self, error: BaseException) -> None: ...


T = TypeVar("T", bound=_Stream)


class OpenStreams(Generic[T]):
    """A set for several threads."""

    def __init__(self) -> None:
        self._streams: dict[T, Metrics | None] = {}
        """Each with the metrics that count it as work."""
        self._lock = threading.Lock()

    def add(self, stream: T) -> None:
        """Remember a stream until it ends."""
        with self._lock:
            self._streams[stream] = None

    def begin_work(self, stream: T, metrics: Metrics) -> None:
        """Count a stream in `metrics` until it ends: its request makes the model work."""
        with self._lock:
            self._streams[stream] = metrics
        metrics.begin()

    def discard(self, stream: T) -> None:
        """Forget a stream that has ended."""
        with self._lock:
            metrics = self._streams.pop(stream, None)
        if metrics:
            metrics.end()

    def fail_all(self) -> None:
        """End the streams that an engine left open when it closed: otherwise client and server wait for ever."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.fail(RuntimeError("the engine closed without ending this request"))
