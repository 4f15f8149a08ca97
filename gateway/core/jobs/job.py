"""A job: what it shall do, and how far it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

JobKind = Literal["transcription", "speech"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]

UNFINISHED: Final[frozenset[JobStatus]] = frozenset({"queued", "running"})


@dataclass(frozen=True)
class JobSpec:
    """What a job shall do; it is written once, and everything in it is JSON."""

    kind: JobKind
    model: str
    """The id or alias that the client sent."""
    request: Mapping[str, Any]
    """The parameters of the use case."""
    upload: str
    """The name of the file with the recording or text, in the job's folder; empty: fetch `url`."""
    references: str = ""
    """The name of the file with the recordings of known speakers, in the job's folder; empty: they are in `request`."""
    url: str = ""
    callback_url: str = ""
    fingerprint: str = ""
    """A hash of everything that the client sent, to compare a repeated request with the first."""
    view: Mapping[str, Any] = field(default_factory=dict)
    """What the surface that created the job needs to show it."""
    ordered: float = 0.0
    """When the client ordered it, in Unix seconds: the order of jobs that the database dates to the same second."""


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    seconds: float = 0.0
    """Seconds of audio transcribed or synthesized."""
    fraction: float | None = None
    """The finished part, 0 to 1; None if the whole is unknown."""


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    message: str
    field: str | None = None
    """The field of the request that was wrong; None if the request was not the reason."""


@dataclass(frozen=True)
class Outcome:
    """The end of a job that was not cancelled."""

    progress: Progress = Progress()
    model: str = ""
    """The id of the model that did the work."""
    error: JobError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Outcome:
        """Undo `to_json`."""
        error = values["error"]
        return cls(Progress(**values["progress"]), values["model"], JobError(**error) if error else None)


@dataclass(frozen=True)
class Job:
    """A job as the store has it; times are Unix seconds."""

    id: str
    owner: str
    """The client that created it, and alone may see it."""
    spec: JobSpec
    status: JobStatus
    created: float
    started: float | None = None
    finished: float | None = None
    progress: Progress = Progress()
    model: str = ""
    """The id of the model, known at the end."""
    error: JobError | None = None

    @property
    def is_finished(self) -> bool:
        """True once it is completed, failed or cancelled."""
        return self.status not in UNFINISHED
