"""The metrics that a stub adds to Triton's own (/metrics on Triton's metrics port)."""

from __future__ import annotations

import threading

import triton_python_backend_utils as pb_utils

from tritone.errors import WIRE_ERRORS

_TTFA_BUCKETS = [0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
_FINISHES = ("stop", "length", "runaway")
_REASONS = (*(error.reason for error in WIRE_ERRORS), "internal")


class Metrics:
    """The metrics of one model in this stub.

    `tritone_ttfa_seconds` (histogram, seconds), `tritone_audio_seconds_total` (counter, seconds of audio synthesized or
    transcribed), `tritone_finished_total` (counter; reason: stop, length, runaway) and `tritone_errors_total` (counter;
    reason: invalid, overloaded, unknown_voice, deadline, cancelled, internal), `tritone_requests_total` (counter) and
    `tritone_open_requests` (gauge) of the requests that made the model work, each by model.
    """

    def __init__(self, model: str) -> None:
        family, self._model = pb_utils.MetricFamily, model
        self._ttfa_family = family(
            name="tritone_ttfa_seconds",
            description="Seconds from a request's arrival in the model to its first audio",
            kind=family.HISTOGRAM,
        )
        self._audio_family = family(
            name="tritone_audio_seconds_total",
            description="Seconds of audio synthesized or transcribed",
            kind=family.COUNTER,
        )
        self._finished_family = family(
            name="tritone_finished_total", description="Speech requests that ended, by reason", kind=family.COUNTER
        )
        self._errors_family = family(
            name="tritone_errors_total", description="Requests that ended in an error, by reason", kind=family.COUNTER
        )
        self._lock = threading.Lock()
        """Triton 2.51 crashes when two threads of a stub report metrics at once."""
        self._requests_family = family(
            name="tritone_requests_total",
            description="Requests that made the model work, without those for its description",
            kind=family.COUNTER,
        )
        self._open_family = family(
            name="tritone_open_requests", description="Those of them that have not ended", kind=family.GAUGE
        )
        labels = {"model": model}
        self._requests = self._requests_family.Metric(labels=labels)
        self._open = self._open_family.Metric(labels=labels)
        self._ttfa = self._ttfa_family.Metric(labels=labels, buckets=_TTFA_BUCKETS)
        self._audio = self._audio_family.Metric(labels=labels)
        self._finished = {
            reason: self._finished_family.Metric(labels={**labels, "reason": reason}) for reason in _FINISHES
        }
        self._errors = {reason: self._errors_family.Metric(labels={**labels, "reason": reason}) for reason in _REASONS}

    def begin(self) -> None:
        """Count a request that makes the model work; `end` must follow."""
        with self._lock:
            self._requests.increment(1)
            self._open.increment(1)

    def end(self) -> None:
        """Record the end of such a request."""
        # Instances of a model share the gauge, so it is never set.
        with self._lock:
            self._open.increment(-1)

    def first_audio(self, seconds: float) -> None:
        """Record the first audio of a request, sent `seconds` after its arrival."""
        with self._lock:
            self._ttfa.observe(seconds)

    def audio(self, seconds: float) -> None:
        """Count `seconds` of audio, synthesized or transcribed."""
        with self._lock:
            self._audio.increment(seconds)

    def finished(self, reason: str) -> None:
        """Count a speech request that ended for `reason`."""
        with self._lock:
            self._finished[reason].increment(1)

    def error(self, error: BaseException) -> None:
        """Count a request that ended in `error`."""
        reason = error.reason if isinstance(error, WIRE_ERRORS) else "internal"
        with self._lock:
            self._errors[reason].increment(1)

    def close(self) -> None:
        """Release every metric: the stub of Triton 2.51 crashes at exit while a model still holds one."""
        self.__dict__.clear()
