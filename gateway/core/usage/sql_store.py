"""Usage in the database of the jobs, to which all gateways and workers add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.core.errors import UsageUnavailable
from gateway.core.sql_table import SqlTable
from gateway.core.usage.usage import UsageCount, UsageCounts, UsageKey, UsageRange

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS tritone_usage (minute BIGINT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, "
    "model TEXT NOT NULL, requests BIGINT NOT NULL, amount DOUBLE PRECISION NOT NULL, "
    "PRIMARY KEY (minute, kind, owner, model))"
)
_ADD: Final = (
    "INSERT INTO tritone_usage (minute, kind, owner, model, requests, amount) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (minute, kind, owner, model) DO UPDATE "
    "SET requests = tritone_usage.requests + excluded.requests, amount = tritone_usage.amount + excluded.amount"
)
_TOTALS: Final = (
    "SELECT minute / ? * ? AS bucket, owner, model, SUM(requests), SUM(amount) FROM tritone_usage "
    "WHERE kind = ? AND minute >= ? AND minute < ?"
)
_GROUPS: Final = " GROUP BY bucket, owner, model"
_FORGET: Final = "DELETE FROM tritone_usage WHERE minute < ?"


class SqlUsage:
    """A `UsageStore` at `url`, SQLite or PostgreSQL; it connects for each call."""

    def __init__(self, url: str, prepare: Callable[[str], None] = lambda url: None) -> None:
        """`prepare` makes the database of a server where it is missing; it is called before the first connection."""
        self._table = SqlTable(url, _CREATE, UsageUnavailable, prepare)

    async def add(self, counts: UsageCounts) -> None:
        """Add counts in one transaction."""
        # In one order, so that two gateways that add at once do not wait for each other in a circle.
        rows = [
            (key.start, key.kind, key.owner, key.model, count.requests, count.amount)
            for key, count in sorted(counts.items(), key=_order)
        ]
        await self._table.run(lambda cursor: cursor.executemany(self._table.sql(_ADD), rows))

    async def totals(self, wanted: UsageRange) -> UsageCounts:
        """Return the totals."""
        values = [wanted.width, wanted.width, wanted.kind, wanted.start, wanted.end, *wanted.models]
        models = f" AND model IN ({', '.join('?' * len(wanted.models))})" if wanted.models else ""
        query = self._table.sql(_TOTALS + models + _GROUPS)
        rows = await self._table.run(lambda cursor: cursor.execute(query, values).fetchall())
        return {
            UsageKey(int(start), wanted.kind, owner, model): UsageCount(int(requests), float(amount))
            for start, owner, model, requests, amount in rows
        }

    async def forget(self, before: int) -> None:
        """Remove the rows of older minutes."""
        await self._table.run(lambda cursor: cursor.execute(self._table.sql(_FORGET), [before]))

    async def close(self) -> None:
        """Do nothing: no connection stays open."""


def _order(row: tuple[UsageKey, UsageCount]) -> tuple[int, str, str, str]:
    key, _ = row
    return key.start, key.kind, key.owner, key.model
