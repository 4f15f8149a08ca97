"""Metrics as data: the name, the labels and the question of each, for the code that registers them and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from tritone.errors import WIRE_ERRORS

MetricKind = Literal["counter", "gauge", "histogram"]
VoiceResult = Literal["hit", "miss", "sent"]


@dataclass(frozen=True)
class MetricSpec:
    """One metric. Its name ends in its unit, `_total` for a counter; labels have few, known values."""

    name: str
    kind: MetricKind
    measures: str
    """The description that Prometheus gets: what is counted or measured, in which unit."""
    question: str
    """The question that it answers."""
    labels: tuple[str, ...] = ("model",)
    buckets: tuple[float, ...] = ()
    source: str = "every model"
    """The kind of model, or the process, that has it."""
    values: tuple[str, ...] = ()
    """The values of the second label, where a model has one."""


SPEECH: Final = "speech models"
TRANSCRIPTION: Final = "transcription models"
BOTH: Final = "speech and transcription models"
EVERY: Final = "every model"
SOURCES: Final = {
    "speech": (EVERY, BOTH, SPEECH),
    "transcription": (EVERY, BOTH, TRANSCRIPTION),
    "companion": (EVERY,),
}
"""The kind of a model -> the sources whose metrics it has."""

ERROR_REASONS: Final = (*(error.reason for error in WIRE_ERRORS), "internal")

REQUESTS: Final = MetricSpec(
    "tritone_requests_total",
    "counter",
    "Requests that made the model work, without those for its description",
    "How much is each model used?",
)
OPEN_REQUESTS: Final = MetricSpec(
    "tritone_open_requests", "gauge", "Those of them that have not ended", "How busy is each model?"
)
ERRORS: Final = MetricSpec(
    "tritone_errors_total",
    "counter",
    "Requests that ended in an error, by reason",
    "What does a model reject, and what was cancelled or failed?",
    ("model", "reason"),
    values=ERROR_REASONS,
)
SLOTS: Final = MetricSpec(
    "tritone_slots",
    "gauge",
    "Requests that the engine computes at once, of all instances; a model without slots has none",
    "How many requests fit?",
    source=BOTH,
)
WAITING: Final = MetricSpec(
    "tritone_waiting_requests",
    "gauge",
    "Open requests that wait in the model for a slot",
    "How long is the queue?",
    source=BOTH,
)
QUEUE_TIME: Final = MetricSpec(
    "tritone_queue_seconds",
    "histogram",
    "Seconds from a request's arrival in the model to the begin of its work",
    "How long do requests wait for a slot?",
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
    source=BOTH,
)
BATCHES: Final = MetricSpec(
    "tritone_batches_total",
    "counter",
    "Batches computed: of frames, of steps, or of windows",
    "How many requests share a batch? Divide the items by the batches.",
    source=BOTH,
)
BATCH_ITEMS: Final = MetricSpec(
    "tritone_batch_items_total",
    "counter",
    "Frames, steps or windows in these batches",
    "How many requests share a batch? Divide the items by the batches.",
    source=BOTH,
)
AUDIO: Final = MetricSpec(
    "tritone_audio_seconds_total",
    "counter",
    "Seconds of audio synthesized or transcribed",
    "How much audio does each model make or read?",
    source=BOTH,
)
REAL_TIME_FACTOR: Final = MetricSpec(
    "tritone_real_time_factor",
    "histogram",
    "Seconds from the begin of a request's work to its last result, for each second of its audio",
    "Is each request faster than real time (below 1), under this load?",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.5, 2.0, 5.0),
    source=BOTH,
)
GENERATED: Final = MetricSpec(
    "tritone_generated_tokens_total",
    "counter",
    "Tokens generated: codec frames of speech, text tokens of transcripts",
    "How many tokens does each model generate?",
    source=BOTH,
)
FINISHED: Final = MetricSpec(
    "tritone_finished_total",
    "counter",
    "Requests that ended with a result, by reason",
    "Is speech, or text, cut by a limit or ended for repetition?",
    ("model", "reason"),
    source=BOTH,
    values=("stop", "length", "runaway"),
)
TTFA: Final = MetricSpec(
    "tritone_ttfa_seconds",
    "histogram",
    "Seconds from a request's arrival in the model to its first audio",
    "How soon does a model send its first packet?",
    buckets=(0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    source=SPEECH,
)
CHUNK_GAP: Final = MetricSpec(
    "tritone_chunk_gap_seconds",
    "histogram",
    "Seconds between two pieces of audio of a request",
    "How evenly does the audio come?",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4),
    source=SPEECH,
)
UNDERRUNS: Final = MetricSpec(
    "tritone_playback_underruns_total",
    "counter",
    "Pauses of a listener who plays each stream from its first audio, because the next piece was late",
    "How often does a listener run out of audio?",
    source=SPEECH,
)
STALLS: Final = MetricSpec(
    "tritone_playback_stall_seconds_total",
    "counter",
    "Seconds of these pauses",
    "How long do listeners wait in the middle of speech?",
    source=SPEECH,
)
CONTINUITY: Final = MetricSpec(
    "tritone_playback_continuity_ratio",
    "histogram",
    "Share of a stream's playback that is audio and not such a pause, 0 to 1",
    "How many streams play without a pause (above 0.999), and how broken are the others?",
    buckets=(0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999),
    source=SPEECH,
)
TEXT_TOKENS: Final = MetricSpec(
    "tritone_text_tokens_total",
    "counter",
    "Tokens of the texts that were spoken",
    "How many tokens does each model read?",
    source=SPEECH,
)
VOICE_CACHE: Final = MetricSpec(
    "tritone_voice_cache_total",
    "counter",
    "Requests with a voice to clone: by the key of a held recording (hit) or of none (miss), or with one (sent)",
    "Are recordings sent once, or again and again?",
    ("model", "result"),
    source=SPEECH,
    values=get_args(VoiceResult),
)

MODEL_METRICS: Final = (
    *(REQUESTS, OPEN_REQUESTS, ERRORS, SLOTS, WAITING, QUEUE_TIME, BATCHES, BATCH_ITEMS, AUDIO, REAL_TIME_FACTOR),
    *(GENERATED, FINISHED, TTFA, CHUNK_GAP, UNDERRUNS, STALLS, CONTINUITY, TEXT_TOKENS, VOICE_CACHE),
)
"""The metrics of the models, which Triton serves on its metrics port."""
