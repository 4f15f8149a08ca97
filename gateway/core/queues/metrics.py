"""The metrics of the queues."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

DEPTH = Gauge("tritone_queue_depth", "Messages in a queue: waiting, or in work", ["queue", "state"])
AGE = Histogram(
    "tritone_queue_age_seconds",
    "From the sending of a message to the begin of its work, in seconds",
    ["queue"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400),
)
MESSAGES = Counter(
    "tritone_queue_messages_total", "Messages worked on: done, set aside, or left to come back", ["queue", "outcome"]
)
