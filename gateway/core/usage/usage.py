"""A piece of usage, and the port of the stores that keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

MINUTE: Final = 60

UsageKind = Literal["speech", "transcription"]


@dataclass(frozen=True)
class UsageKey:
    """The place of a count."""

    start: int
    """The begin of its minute, in Unix seconds; in a total, of its bucket."""
    kind: UsageKind
    owner: str
    """The client, as `WorkTelemetry.owner`."""
    model: str


@dataclass(frozen=True)
class UsageCount:
    """Requests, and their amount: characters of speech, seconds of transcribed audio."""

    requests: int = 0
    amount: float = 0.0

    def __add__(self, other: UsageCount) -> UsageCount:
        return UsageCount(self.requests + other.requests, self.amount + other.amount)


UsageCounts = Mapping[UsageKey, UsageCount]


@dataclass(frozen=True)
class UsageRange:
    """The usage to add up: that of `kind` from `start` to before `end`, in buckets of `width` seconds."""

    kind: UsageKind
    start: int
    end: int
    width: int
    models: Sequence[str] = ()
    """Empty: all."""


class UsageStore(Protocol):
    """Keeps usage. The methods raise `UsageUnavailable`."""

    async def add(self, counts: UsageCounts) -> None:
        """Add counts of minutes to those that are kept."""

    async def totals(self, wanted: UsageRange) -> UsageCounts:
        """Return the totals of each bucket, client and model; a bucket begins at a multiple of its width."""

    async def forget(self, before: int) -> None:
        """Remove what is older than a time, in Unix seconds."""

    async def close(self) -> None:
        """Close the connections."""
