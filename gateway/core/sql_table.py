"""A table in the database of the jobs, SQLite or PostgreSQL, to which all gateways and workers add.

It needs no more than the database's own driver: SQLAlchemy, for a few statements, would take 12 MB.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from gateway.core.database import open_sqlite, sqlite_file

T = TypeVar("T")


class SqlTable:
    """The table that `create` makes, at `url`; it connects for each call."""

    def __init__(
        self, url: str, create: str, unavailable: Callable[[str], Exception], prepare: Callable[[str], None]
    ) -> None:
        """`unavailable` returns the error to raise for a database that is out of reach, with its reason.

        `prepare` makes the database of a server where it is missing; it is called before the first connection.
        """
        self._file = sqlite_file(url)
        self._url = url
        self._create = create
        self._unavailable = unavailable
        self._prepare = prepare
        self._prepared = False

    def sql(self, statement: str) -> str:
        """Return a statement with the driver's own marks in place of `?` for each value."""
        return statement if self._file else statement.replace("?", "%s")

    async def run(self, work: Callable[[Any], T]) -> T:
        """Return what `work` makes of a cursor, in a transaction and in a thread. Raises the error `unavailable`."""
        return await asyncio.to_thread(self._in_transaction, work)

    def _in_transaction(self, work: Callable[[Any], T]) -> T:
        if not self._prepared and not self._file:
            try:
                self._prepare(self._url)
            except Exception as error:
                raise self._unavailable(repr(error)) from error
        with self._embedded() if self._file else self._server() as cursor:
            if not self._prepared:
                cursor.execute(self._create)
                self._prepared = True
            return work(cursor)

    @contextmanager
    def _embedded(self) -> Iterator[Any]:
        """Yield a cursor; its changes are kept at the end of the block."""
        assert self._file
        try:
            with closing(open_sqlite(self._file)) as connection, connection:
                yield connection.cursor()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(str(error)) from error

    @contextmanager
    def _server(self) -> Iterator[Any]:
        """Yield a cursor; its changes are kept at the end of the block."""
        # Only a gateway with such a database needs the package.
        import psycopg  # noqa: PLC0415

        try:
            with psycopg.connect(self._url) as connection:
                yield connection.cursor()
        except (psycopg.Error, OSError) as error:
            raise self._unavailable(str(error)) from error
