"""The metrics of the queues."""

from __future__ import annotations

from typing import Final

from gateway.core.metrics import QUEUE_WORKER, counter, gauge, histogram

DEPTH: Final = gauge(
    "tritone_queue_depth",
    "Messages in a queue: waiting, or in work",
    "How many messages wait?",
    *("queue", "state"),
    source=QUEUE_WORKER,
)
AGE: Final = histogram(
    "tritone_queue_age_seconds",
    "From the sending of a message to the begin of its work, in seconds",
    "How long do messages wait?",
    "queue",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400),
    source=QUEUE_WORKER,
)
MESSAGES: Final = counter(
    "tritone_queue_messages_total",
    "Messages worked on: done, set aside, or left to come back",
    "How many messages are done, and how many fail?",
    *("queue", "outcome"),
    source=QUEUE_WORKER,
)
