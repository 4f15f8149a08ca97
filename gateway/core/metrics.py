"""The metrics of the gateway and its workers: each is registered with the question that it answers."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from tritone.metrics import MetricSpec

GATEWAY: Final = "gateway"
JOB_WORKER: Final = "worker of jobs"
QUEUE_WORKER: Final = "queue worker"

SPECS: Final[dict[str, MetricSpec]] = {}
"""Every metric that is registered, by its name."""

_FIRST_BUCKETS: Final = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16, 32)


def counter(name: str, measures: str, question: str, *labels: str, source: str = GATEWAY) -> Counter:
    """Register a counter."""
    SPECS[name] = MetricSpec(name, "counter", measures, question, labels, source=source)
    return Counter(name, measures, labels)


def gauge(name: str, measures: str, question: str, *labels: str, source: str = GATEWAY) -> Gauge:
    """Register a gauge."""
    SPECS[name] = MetricSpec(name, "gauge", measures, question, labels, source=source)
    return Gauge(name, measures, labels)


def histogram(
    name: str, measures: str, question: str, *labels: str, buckets: tuple[float, ...], source: str = GATEWAY
) -> Histogram:
    """Register a histogram."""
    SPECS[name] = MetricSpec(name, "histogram", measures, question, labels, buckets, source)
    return Histogram(name, measures, labels, buckets=buckets)


FIRST_PACKET: Final = histogram(
    "tritone_speech_first_packet_seconds",
    "Seconds from the begin of a speech request's work in the gateway to the first audio from the model",
    "How much of the wait is the model and the way to it?",
    "model",
    buckets=_FIRST_BUCKETS,
)
FIRST_PLAYABLE: Final = histogram(
    "tritone_speech_first_playable_seconds",
    "Seconds from there to the first bytes of the audio file, of responses that are streamed",
    "When can a player begin?",
    "model",
    buckets=_FIRST_BUCKETS,
)
FIRST_AUDIBLE: Final = histogram(
    "tritone_speech_first_audible_seconds",
    "Seconds from there to the first sound that a listener hears, after the silence at the begin of the audio",
    "When does a person hear the first word?",
    "model",
    buckets=_FIRST_BUCKETS,
)
JOBS_CREATED: Final = counter(
    "tritone_jobs_created_total", "Jobs created, by kind: speech or transcription", "How many jobs come in?", "kind"
)
JOBS: Final = gauge(
    "tritone_jobs",
    "Unfinished jobs in the database, by status: queued or running; every gateway reports the same number",
    "How many jobs wait, and how many run?",
    "status",
)
JOBS_ENDED: Final = counter(
    "tritone_jobs_ended_total",
    "Jobs that this worker ended, by kind and status: completed or failed",
    "How many jobs are done, and how many fail?",
    *("kind", "status"),
    source=JOB_WORKER,
)
