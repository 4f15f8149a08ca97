"""Records of several objects that appear and vanish as one, for many gateways at once and without a lock server.

A record exists as long as one object of it, its `entry`, does: the entry is created last and deleted first. What is
left of a gateway that died between is found by its note in `pending/`, and cleaned by any other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from gateway.core.voices.objects import Objects

logger = logging.getLogger(__name__)

_PENDING: Final = "pending"
_ABANDONED: Final = 900.0
"""Seconds after which an unfinished change is taken for abandoned; one takes seconds."""


@dataclass(frozen=True)
class Record:
    """Where the objects of a record are."""

    id: str
    folder: str
    """The folder of its objects."""
    entry: str
    """The path of its entry, which holds its id."""


@dataclass(frozen=True)
class _Note:
    """A change that is going on."""

    record: Record
    removes: bool

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> _Note:
        values = json.loads(text)
        return cls(Record(**values["record"]), values["removes"])


class Records:
    """Writes and removes records. All methods raise `VoicesUnavailable`."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    async def add(self, record: Record, files: Mapping[str, bytes], entry: bytes) -> bool:
        """Write a record with these objects in its folder; return False, and write nothing, if its entry exists."""
        writing = asyncio.ensure_future(self._write(record, files, entry))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.shield(self._undo(writing, record))  # the client has left, and does not know the id
            raise

    async def exists(self, record: Record) -> bool:
        """Return whether the record exists."""
        entry = await self.objects.get(record.entry)
        return entry is not None and record.id.encode() in entry

    async def update(self, record: Record, entry: bytes) -> bool:
        """Replace the entry of a record; return False if it does not exist, or another caller is changing it."""
        if not await self._begin(record, removes=False):
            return False
        existed = await self.exists(record)
        if existed:
            await self.objects.put(record.entry, entry)
        await self.objects.delete(_path_of_note(record))
        return existed

    async def remove(self, record: Record) -> bool:
        """Remove a record; return False if it does not exist, or another caller is changing it."""
        # One caller alone removes it: a slow second one might remove the entry of a new record with the same name.
        if not await self._begin(record, removes=True):
            return False
        existed = await self.exists(record)
        await asyncio.shield(self._clean(record))
        return existed

    async def clean(self) -> None:
        """Finish what other gateways began and did not finish."""
        for found in await self.objects.list(_PENDING):
            content = await self.objects.get(found.path) if found.age > _ABANDONED else None
            if content is None:
                continue
            try:
                note = _Note.from_json(content)
            except (ValueError, KeyError, TypeError) as error:
                logger.error("%s is no note of a change, and is left alone: %r", found.path, error)
                continue
            if not note.removes and await self.exists(note.record):
                await self.objects.delete(found.path)
            else:
                await self._clean(note.record)

    async def _begin(self, record: Record, *, removes: bool) -> bool:
        return await self.objects.create(_path_of_note(record), _Note(record, removes).to_json())

    async def _write(self, record: Record, files: Mapping[str, bytes], entry: bytes) -> bool:
        await self._begin(record, removes=False)
        added = False
        try:
            for name, content in files.items():
                await self.objects.put(f"{record.folder}/{name}", content)
            added = await self.objects.create(record.entry, entry)
        finally:
            if not added:
                await self._clean(record)
        await self.objects.delete(_path_of_note(record))
        return added

    async def _undo(self, writing: asyncio.Future[bool], record: Record) -> None:
        if await writing:
            await self.remove(record)

    async def _clean(self, record: Record) -> None:
        if await self.exists(record):
            await self.objects.delete(record.entry)
        for found in await self.objects.list(record.folder):
            await self.objects.delete(found.path)
        await self.objects.delete(_path_of_note(record))


def _path_of_note(record: Record) -> str:
    return f"{_PENDING}/{record.id}"
