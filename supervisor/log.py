"""The log of a child: all lines in a file, alarming lines on the terminal too."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import FileIO
from pathlib import Path

from supervisor import console

_LONGEST_LINE = 1 << 24
_FINISH_TIMEOUT = 1.0


class Log:
    """Copies lines from a pipe to `path`, and lines for which `is_alarming` to the terminal with the child's name.

    It does not use asyncio's pipe, with which a child counts as running until the last of its orphans has ended.
    """

    def __init__(self, name: str, path: Path, is_alarming: Callable[[str], bool]) -> None:
        self.name = name
        self.path = path
        self.tail: deque[str] = deque(maxlen=20)
        """The last lines."""
        self._is_alarming = is_alarming
        self._copying: asyncio.Task[None] | None = None
        self._file: FileIO | None = None
        self._losing = False
        """True while lines are lost."""

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[int]:
        """Open a descriptor for a child to write to; it is read until every process has closed it."""
        reading, writing = os.pipe()
        lines = asyncio.StreamReader(limit=_LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(reading, "rb", buffering=0)
        )
        self._copying = asyncio.create_task(self._copy(lines, transport))
        try:
            yield writing
        finally:
            os.close(writing)

    async def finish(self) -> None:
        """Read the rest once the child and its descendants have ended."""
        if self._copying:
            _, late = await asyncio.wait((self._copying,), timeout=_FINISH_TIMEOUT)
            for copying in late:
                copying.cancel()

    async def _copy(self, lines: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        try:
            async for raw in lines:
                self._save(raw)
                line = raw.decode(errors="replace").rstrip()
                self.tail.append(line)
                if self._is_alarming(line):
                    console.info(f"{self.name}: {line}")
        finally:
            transport.close()
            if self._file:
                self._file.close()

    def _save(self, line: bytes) -> None:
        """Append to the file; a line for which the disk has no room is lost, and the child goes on."""
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(line)
        except OSError as error:
            if not self._losing:
                console.error(f"{self.name}: its log is incomplete from here on: {error.strerror}: {self.path}")
            self._losing = True
        else:
            if self._losing:
                console.info(f"{self.name}: its log is written again: {self.path}")
            self._losing = False
