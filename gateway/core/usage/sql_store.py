"""Usage in the database of the jobs, to which all gateways and workers add."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.errors import UsageUnavailable
from gateway.core.usage.usage import UsageCount, UsageCounts, UsageKey, UsageRange

T = TypeVar("T")

_LOCK_SECONDS: Final = 30
_CREATE: Final = sa.text(
    "CREATE TABLE IF NOT EXISTS tritone_usage (minute BIGINT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, "
    "model TEXT NOT NULL, requests BIGINT NOT NULL, amount DOUBLE PRECISION NOT NULL, "
    "PRIMARY KEY (minute, kind, owner, model))"
)
_ADD: Final = sa.text(
    "INSERT INTO tritone_usage (minute, kind, owner, model, requests, amount) "
    "VALUES (:minute, :kind, :owner, :model, :requests, :amount) ON CONFLICT (minute, kind, owner, model) DO UPDATE "
    "SET requests = tritone_usage.requests + excluded.requests, amount = tritone_usage.amount + excluded.amount"
)
_TABLE: Final = sa.table(
    "tritone_usage",
    sa.column("minute", sa.BigInteger),
    sa.column("kind", sa.Text),
    sa.column("owner", sa.Text),
    sa.column("model", sa.Text),
    sa.column("requests", sa.BigInteger),
    sa.column("amount", sa.Double),
)


class SqlUsage:
    """A `UsageStore` at `url`, SQLite or PostgreSQL; it connects at the first call."""

    def __init__(self, url: str, prepare: Callable[[str], None] = lambda url: None) -> None:
        """`prepare` makes the database where it is missing; it is called before the first connection."""
        self._url = url
        self._prepare = prepare
        self._engine: sa.Engine | None = None

    async def add(self, counts: UsageCounts) -> None:
        """Add counts in one transaction."""
        # In one order, so that two gateways that add at once do not wait for each other in a circle.
        rows = [
            {
                "minute": key.start,
                "kind": key.kind,
                "owner": key.owner,
                "model": key.model,
                "requests": count.requests,
                "amount": count.amount,
            }
            for key, count in sorted(counts.items(), key=_order)
        ]
        await self._run(lambda connection: connection.execute(_ADD, rows))

    async def totals(self, wanted: UsageRange) -> UsageCounts:
        """Return the totals."""
        columns = _TABLE.c
        bucket = (columns.minute - columns.minute % wanted.width).label("bucket")
        query = (
            sa.select(bucket, columns.owner, columns.model, sa.func.sum(columns.requests), sa.func.sum(columns.amount))
            .where(columns.kind == wanted.kind, columns.minute >= wanted.start, columns.minute < wanted.end)
            .group_by(sa.text("1"), columns.owner, columns.model)
        )
        if wanted.models:
            query = query.where(columns.model.in_(wanted.models))
        rows = await self._run(lambda connection: connection.execute(query).all())
        return {
            UsageKey(int(start), wanted.kind, owner, model): UsageCount(int(requests), float(amount))
            for start, owner, model, requests, amount in rows
        }

    async def forget(self, before: int) -> None:
        """Remove the rows of older minutes."""
        old = sa.delete(_TABLE).where(_TABLE.c.minute < before)
        await self._run(lambda connection: connection.execute(old))

    async def close(self) -> None:
        """Close the connections."""
        if self._engine:
            await asyncio.to_thread(self._engine.dispose)

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        try:
            return await asyncio.to_thread(self._in_transaction, work)
        except (SQLAlchemyError, OSError) as error:
            raise UsageUnavailable(str(error)) from error

    def _in_transaction(self, work: Callable[[sa.Connection], T]) -> T:
        if self._engine is None:
            try:
                self._prepare(self._url)
            except Exception as error:
                raise UsageUnavailable(repr(error)) from error
            engine = _engine(self._url)
            with engine.begin() as connection:
                connection.execute(_CREATE)
            self._engine = engine
        with self._engine.begin() as connection:
            return work(connection)


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url.replace("postgresql://", "postgresql+psycopg://", 1))
    if parsed.drivername.startswith("sqlite") and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        return sa.create_engine(parsed, connect_args={"timeout": _LOCK_SECONDS})
    return sa.create_engine(parsed, pool_pre_ping=True)


def _order(row: tuple[UsageKey, UsageCount]) -> tuple[int, str, str, str]:
    key, _ = row
    return key.start, key.kind, key.owner, key.model
