"""The wait of one request for its slot."""

from __future__ import annotations

from collections.abc import Callable

from adapters.triton.metrics import Metrics


class Wait:
    """Measures how long a request waits in the model, and reports it once."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self.arrived = clock()
        self.started: float | None = None
        """The time at which the work began; None: not yet."""
        self._metrics = metrics
        self._clock = clock
        self._waiting = False

    def begin(self) -> None:
        """Count the request among those that wait."""
        self._waiting = True
        self._metrics.wait()

    def start(self) -> None:
        """Record that work on the request begins. Later calls change nothing."""
        if self.started is None:
            self.started = self._clock()
            self._leave(self.started - self.arrived)

    def end(self) -> None:
        """Record the end of the request, which may never have begun."""
        self._leave(None)

    def _leave(self, seconds: float | None) -> None:
        if self._waiting:
            self._waiting = False
            self._metrics.leave_queue(seconds)
