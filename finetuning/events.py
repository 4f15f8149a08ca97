"""The events of a training, in the order in which `train` reports them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Losses:
    """Cross-entropies in nats, and the shares of codes whose best guess is right."""

    talker: float
    """The loss of codebook 0 and the end."""
    predictor: float
    """The loss of codebooks 1 to 15."""
    talker_accuracy: float
    predictor_accuracy: float


@dataclass(frozen=True)
class Judged:
    """What was heard in sentences that the checkpoint spoke; None where it could not be judged."""

    sentences: int
    similarity: float | None
    """Mean cosine of a speaker network's embeddings with those of the speaker's held-out clips."""
    character_error_rate: float | None
    """Of Whisper's transcripts, 0.02 for 2 %."""
    pace: float
    """Frames a character, over that of the data: 1.1 is a tenth slower."""
    ended: float
    """The share of sentences that ended by themselves."""


@dataclass(frozen=True)
class Scores:
    """A line of `history.jsonl`, the judgement of one state of the weights."""

    name: str
    """`start`, `cloning` (plain cloning by the Base start), or `epoch N`."""
    step: int
    epoch: float
    """Epochs trained; 0 before the first step."""
    losses: Losses | None
    """Of the held-out clips; None for `cloning`, or without any."""
    judged: Judged | None = None
    """None between epochs."""


@dataclass(frozen=True)
class Planned:
    """Training begins, or resumes at `step`."""

    steps: int
    step: int
    trained_parameters: int


@dataclass(frozen=True)
class Progress:
    """A step is done."""

    step: int
    steps: int
    epoch: float
    losses: Losses
    learning_rate: float
    frames_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Evaluated:
    """The weights were judged; the same values are a new line of `history.jsonl`."""

    scores: Scores


@dataclass(frozen=True)
class Saved:
    """The state to resume from is on disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Chosen:
    """Training has ended, and an epoch is chosen."""

    epoch: int
    reason: str
    """One sentence for people."""


@dataclass(frozen=True)
class Warned:
    """Something that the user should know, though training goes on."""

    text: str


Event = Planned | Progress | Evaluated | Saved | Chosen | Warned
