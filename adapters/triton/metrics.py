"""The metrics that a stub adds to Triton's own (/metrics on Triton's metrics port)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import triton_python_backend_utils as pb_utils

from tritone import metrics
from tritone.errors import WIRE_ERRORS
from tritone.metrics import MODEL_METRICS, SOURCES, MetricSpec, VoiceResult

ModelKind = Literal["speech", "transcription", "companion"]


@dataclass(frozen=True)
class EngineCounts:
    """The capacity of an engine, and totals since its start."""

    slots: int
    """Requests that it computes at once."""
    batches: int
    items: int
    """Frames, steps or windows in these batches."""


@runtime_checkable
class CountingEngine(Protocol):
    """An engine that counts its batches."""

    def counts(self) -> EngineCounts:
        """Return the counts so far, from any thread."""


def counts_of(engine: object) -> EngineCounts:
    """Return the counts of an engine, which are zero for one that does not count."""
    return engine.counts() if isinstance(engine, CountingEngine) else EngineCounts(0, 0, 0)


class Metrics:
    """The metrics of one model in this stub: those of `tritone.metrics.MODEL_METRICS` that its kind of model has."""

    def __init__(self, model: str, kind: ModelKind) -> None:
        self._lock = threading.Lock()
        """Triton 2.51 crashes when two threads of a stub report metrics at once."""
        self._counts: Callable[[], EngineCounts] = lambda: EngineCounts(0, 0, 0)
        self._reported = self._counts()
        family = pb_utils.MetricFamily
        self._families: list[Any] = []
        self._metrics: dict[tuple[str, str], Any] = {}
        for spec in MODEL_METRICS:
            if spec.source not in SOURCES[kind]:
                continue
            made = family(name=spec.name, description=spec.measures, kind=getattr(family, spec.kind.upper()))
            self._families.append(made)
            for value in spec.values or ("",):
                labels = dict(zip(spec.labels, (model, value), strict=False))
                more = {"buckets": list(spec.buckets)} if spec.buckets else {}
                self._metrics[spec.name, value] = made.Metric(labels=labels, **more)

    def watch(self, counts: Callable[[], EngineCounts]) -> None:
        """Report the counts of the model's engine now, and again whenever a request ends."""
        with self._lock:
            self._counts = counts
            self._report_counts()

    def begin(self) -> None:
        """Count a request that makes the model work; `end` must follow."""
        with self._lock:
            self._add(metrics.REQUESTS)
            self._add(metrics.OPEN_REQUESTS)

    def end(self) -> None:
        """Record the end of such a request."""
        # Instances of a model share the gauge, so it is never set.
        with self._lock:
            self._add(metrics.OPEN_REQUESTS, -1)
            self._report_counts()

    def wait(self) -> None:
        """Count a request that waits for a slot; `leave_queue` must follow."""
        with self._lock:
            self._add(metrics.WAITING)

    def leave_queue(self, seconds: float | None) -> None:
        """Record that a request waits no longer: after so many seconds its work begins, or (None) never."""
        with self._lock:
            self._add(metrics.WAITING, -1)
            if seconds is not None:
                self._observe(metrics.QUEUE_TIME, seconds)

    def first_audio(self, seconds: float) -> None:
        """Record the first audio of a request, sent `seconds` after its arrival."""
        with self._lock:
            self._observe(metrics.TTFA, seconds)

    def audio(self, seconds: float, gap: float | None = None) -> None:
        """Count `seconds` of audio, synthesized or transcribed; `gap`: seconds since the piece of audio before it."""
        with self._lock:
            self._add(metrics.AUDIO, seconds)
            if gap is not None:
                self._observe(metrics.CHUNK_GAP, gap)

    def underrun(self, seconds: float) -> None:
        """Record that a listener waits for the next audio, for `seconds`."""
        with self._lock:
            self._add(metrics.UNDERRUNS)
            self._add(metrics.STALLS, seconds)

    def finished(self, reason: str) -> None:
        """Count a request that ended with a result, for `reason`."""
        with self._lock:
            self._add(metrics.FINISHED, value=reason)

    def continuity(self, share: float) -> None:
        """Record the share of a stream's playback without pauses."""
        with self._lock:
            self._observe(metrics.CONTINUITY, share)

    def real_time_factor(self, factor: float) -> None:
        """Record the seconds of work for each second of a request's audio."""
        with self._lock:
            self._observe(metrics.REAL_TIME_FACTOR, factor)

    def tokens(self, generated: int, text: int = 0) -> None:
        """Count the tokens that were generated, and those of the text that was spoken."""
        with self._lock:
            self._add(metrics.GENERATED, generated)
            if text:
                self._add(metrics.TEXT_TOKENS, text)

    def voice(self, result: VoiceResult) -> None:
        """Count a request with a voice to clone."""
        with self._lock:
            self._add(metrics.VOICE_CACHE, value=result)

    def batch(self, items: int) -> None:
        """Count a batch, for a model that has no engine to count them."""
        with self._lock:
            self._add(metrics.BATCHES)
            self._add(metrics.BATCH_ITEMS, items)

    def error(self, error: BaseException) -> None:
        """Count a request that ended in `error`."""
        reason = error.reason if isinstance(error, WIRE_ERRORS) else "internal"
        with self._lock:
            self._add(metrics.ERRORS, value=reason)

    def close(self) -> None:
        """Release every metric: the stub of Triton 2.51 crashes at exit while a model still holds one."""
        self.__dict__.clear()

    def _report_counts(self) -> None:
        counts, before = self._counts(), self._reported
        self._reported = counts
        for spec, more in (
            (metrics.SLOTS, counts.slots - before.slots),
            (metrics.BATCHES, counts.batches - before.batches),
            (metrics.BATCH_ITEMS, counts.items - before.items),
        ):
            if more:
                self._add(spec, more)

    def _add(self, spec: MetricSpec, amount: float = 1, value: str = "") -> None:
        self._metrics[spec.name, value].increment(amount)

    def _observe(self, spec: MetricSpec, amount: float) -> None:
        self._metrics[spec.name, ""].observe(amount)
