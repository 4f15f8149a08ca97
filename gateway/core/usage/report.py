"""The use case `report_usage`: the usage of a span of time, in buckets, by client and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.usage.recorder import UsageRecorder
from gateway.core.usage.usage import MINUTE, UsageCount, UsageKind, UsageRange

DIGEST_CHARS: Final = 32
"""Characters of an owner that is the digest of a key."""

GroupBy = Literal["api_key_id", "model"]


@dataclass(frozen=True)
class UsageQuestion:
    """What to report."""

    kind: UsageKind
    start: int
    """Unix seconds, inclusive; minutes are not divided."""
    end: int
    """Unix seconds, exclusive."""
    width: int
    """Seconds of a bucket; it begins at a multiple of them."""
    limit: int
    """Buckets, at most."""
    group_by: Collection[GroupBy] = ()
    api_key_ids: Sequence[str] = ()
    """Empty: all."""
    models: Sequence[str] = ()
    """Empty: all."""


@dataclass(frozen=True)
class UsageRow:
    """The usage of a group; None for what is not grouped by."""

    count: UsageCount
    api_key_id: str | None
    model: str | None


@dataclass(frozen=True)
class UsageBucket:
    """The usage of one bucket; none if there was no request."""

    start: int
    end: int
    rows: Sequence[UsageRow]


@dataclass(frozen=True)
class UsageReport:
    """The buckets in order; `next_start` is where the next page begins, None after the last."""

    buckets: Sequence[UsageBucket]
    next_start: int | None


async def report_usage(usage: UsageRecorder, question: UsageQuestion, key_ids: KeyIds) -> UsageReport:
    """Return the buckets with their usage. Raises `UsageUnavailable`."""
    first = question.start - question.start % question.width
    starts = range(first, question.end, question.width)
    shown = starts[: question.limit]
    begin = question.start - question.start % MINUTE
    end = min(question.end, shown[-1] + question.width) if shown else begin
    wanted = UsageRange(question.kind, begin, end, question.width, question.models)
    groups: dict[int, defaultdict[tuple[str | None, str | None], UsageCount]] = {
        start: defaultdict(UsageCount) for start in shown
    }
    for key, count in (await usage.totals(wanted)).items():
        key_id = key_ids.of(key.owner)
        if question.api_key_ids and key_id not in question.api_key_ids:
            continue
        group = (
            key_id if "api_key_id" in question.group_by else None,
            key.model if "model" in question.group_by else None,
        )
        groups[key.start][group] += count
    buckets = [
        UsageBucket(
            start,
            start + question.width,
            [UsageRow(count, key_id, model) for (key_id, model), count in sorted(rows.items(), key=_names)],
        )
        for start, rows in groups.items()
    ]
    return UsageReport(buckets, starts[question.limit] if len(starts) > question.limit else None)


class KeyIds:
    """The ids of API keys, which reveal no key: their configured names, or the begin of their digests."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names`: owner -> name."""
        self._names = names

    def of(self, owner: str) -> str:
        """Return the id of an owner; clients without a key are `everyone`."""
        return self._names.get(owner) or (f"key_{owner[:16]}" if len(owner) == DIGEST_CHARS else owner or "unknown")


def _names(item: tuple[tuple[str | None, str | None], UsageCount]) -> tuple[str, str]:
    (key_id, model), _ = item
    return key_id or "", model or ""
