"""Usage in the database of the jobs, to which all gateways and workers add.

It needs no more than the database's own driver: SQLAlchemy, for these few statements, would take 12 MB.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.core.database import open_sqlite, sqlite_file
from gateway.core.errors import UsageUnavailable
from gateway.core.usage.usage import UsageCount, UsageCounts, UsageKey, UsageRange

T = TypeVar("T")

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
        self._file = sqlite_file(url)
        self._url = url
        self._prepare = prepare
        self._prepared = False

    async def add(self, counts: UsageCounts) -> None:
        """Add counts in one transaction."""
        # In one order, so that two gateways that add at once do not wait for each other in a circle.
        rows = [
            (key.start, key.kind, key.owner, key.model, count.requests, count.amount)
            for key, count in sorted(counts.items(), key=_order)
        ]
        await self._run(lambda cursor: cursor.executemany(self._sql(_ADD), rows))

    async def totals(self, wanted: UsageRange) -> UsageCounts:
        """Return the totals."""
        values = [wanted.width, wanted.width, wanted.kind, wanted.start, wanted.end, *wanted.models]
        models = f" AND model IN ({', '.join('?' * len(wanted.models))})" if wanted.models else ""
        query = self._sql(_TOTALS + models + _GROUPS)
        rows = await self._run(lambda cursor: cursor.execute(query, values).fetchall())
        return {
            UsageKey(int(start), wanted.kind, owner, model): UsageCount(int(requests), float(amount))
            for start, owner, model, requests, amount in rows
        }

    async def forget(self, before: int) -> None:
        """Remove the rows of older minutes."""
        await self._run(lambda cursor: cursor.execute(self._sql(_FORGET), [before]))

    async def close(self) -> None:
        """Do nothing: no connection stays open."""

    def _sql(self, statement: str) -> str:
        """Return a statement with the driver's own marks for values."""
        return statement if self._file else statement.replace("?", "%s")

    async def _run(self, work: Callable[[Any], T]) -> T:
        return await asyncio.to_thread(self._in_transaction, work)

    def _in_transaction(self, work: Callable[[Any], T]) -> T:
        if not self._prepared and not self._file:
            try:
                self._prepare(self._url)
            except Exception as error:
                raise UsageUnavailable(repr(error)) from error
        with _embedded(self._file) if self._file else _server(self._url) as cursor:
            if not self._prepared:
                cursor.execute(_CREATE)
                self._prepared = True
            return work(cursor)


@contextmanager
def _embedded(file: Path) -> Iterator[Any]:
    """Yield a cursor whose changes are kept at the end of the block. Raises `UsageUnavailable`."""
    try:
        with closing(open_sqlite(file)) as connection, connection:
            yield connection.cursor()
    except (sqlite3.Error, OSError) as error:
        raise UsageUnavailable(str(error)) from error


@contextmanager
def _server(url: str) -> Iterator[Any]:
    """Yield a cursor whose changes are kept at the end of the block. Raises `UsageUnavailable`."""
    # Only a gateway with such a database needs the package.
    import psycopg  # noqa: PLC0415

    try:
        with psycopg.connect(url) as connection:
            yield connection.cursor()
    except (psycopg.Error, OSError) as error:
        raise UsageUnavailable(str(error)) from error


def _order(row: tuple[UsageKey, UsageCount]) -> tuple[int, str, str, str]:
    key, _ = row
    return key.start, key.kind, key.owner, key.model
