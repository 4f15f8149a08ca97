"""The texts that clients refer to again, which several gateways share where they have the database of the jobs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from gateway.core.database import jobs_database, make_database
from gateway.core.remembered_texts import RememberedText, RememberedTexts
from gateway.core.sql_table import SqlTable
from gateway.settings import GatewaySettings

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS tritone_texts (owner TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, "
    "audio_tokens BIGINT NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (owner, name))"
)
_ADD: Final = (
    "INSERT INTO tritone_texts (owner, name, text, audio_tokens, expires_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (owner, name) DO UPDATE SET text = excluded.text, audio_tokens = excluded.audio_tokens, "
    "expires_at = excluded.expires_at"
)
_GET: Final = "SELECT text, audio_tokens FROM tritone_texts WHERE owner = ? AND name = ? AND expires_at > ?"
_FORGET: Final = "DELETE FROM tritone_texts WHERE expires_at <= ?"
_SECONDS: Final = 3.0
"""Until the database must have answered: an answer waits for it."""
_FORGET_EVERY: Final = 100
"""Texts that are added between two removals of those that have expired."""

logger = logging.getLogger(__name__)


class TextsUnavailable(Exception):
    """The database is out of reach."""


class SharedTexts:
    """Keeps the texts of each client in this process and, with a database, for the other gateways.

    Without the database for a while, this process goes on with its own.
    """

    def __init__(
        self,
        url: str = "",
        prepare: Callable[[str], None] = lambda url: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`url`: the database's; empty: there is none. `prepare` as that of `SqlTable`."""
        self._own = RememberedTexts(clock)
        self._clock = clock
        self._table = SqlTable(url, _CREATE, TextsUnavailable, prepare) if url else None
        self._added = 0

    async def add(self, owner: str, key: str, text: RememberedText) -> int:
        """Keep a text of the client `owner`, and return when it expires, in Unix seconds."""
        expires_at = self._own.add(owner, key, text)
        if table := self._table:
            values = owner, key, text.text.replace("\0", ""), text.audio_tokens, expires_at
            is_time = self._added % _FORGET_EVERY == 0
            self._added += 1

            def write(cursor: Any) -> None:
                if is_time:
                    cursor.execute(table.sql(_FORGET), [int(self._clock())])
                cursor.execute(table.sql(_ADD), values)

            try:
                async with asyncio.timeout(_SECONDS):
                    await table.run(write)
            except (TextsUnavailable, TimeoutError) as error:
                logger.warning("a text is kept in this gateway alone: %r", error)
        return expires_at

    async def get(self, owner: str, key: str) -> RememberedText | None:
        """Return the client's text; None if it was never kept, or is not any more."""
        found = self._own.get(owner, key)
        if found is not None or self._table is None:
            return found
        query, values = self._table.sql(_GET), [owner, key, int(self._clock())]
        try:
            async with asyncio.timeout(_SECONDS):
                row = await self._table.run(lambda cursor: cursor.execute(query, values).fetchone())
        except (TextsUnavailable, TimeoutError) as error:
            logger.warning("the texts of other gateways cannot be read: %r", error)
            return None
        return RememberedText(row[0], int(row[1])) if row else None


def open_texts(settings: GatewaySettings) -> SharedTexts:
    """Return the texts, in the database of the jobs where there are jobs."""
    if not settings.jobs:
        return SharedTexts()
    return SharedTexts(jobs_database(settings), make_database)
