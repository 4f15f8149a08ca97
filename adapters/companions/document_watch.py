"""The served document as a file, and the requests that wait for its next version."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import triton_python_backend_utils as pb_utils

from tritone.served import ServedDocument

PARAMETER: Final = "document"
"""The config parameter that holds the file's path."""
POLL_SECONDS: Final = 0.05
EMPTY: Final = ServedDocument("starting", ())
"""The document before the supervisor has written one."""

Identity = tuple[int, int, int] | None


@dataclass(frozen=True, eq=False)
class Waiter:
    """A request that waits for a version other than `version`."""

    version: int
    deadline: float
    """The end of its wait, by the watch's clock."""
    respond: Callable[[ServedDocument], None]
    is_cancelled: Callable[[], bool] = lambda: False
    """A cancelled waiter is answered at once."""


class DocumentFile:
    """The file that the supervisor replaces at every change."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._identity: Identity = None
        self._document = EMPTY

    def read(self) -> ServedDocument:
        """Return the document; `EMPTY` without a file. It is parsed again only after the file was replaced.

        A file that cannot be parsed is logged, and the document stays as it was.
        """
        identity = self._identify()
        if identity != self._identity:
            self._identity = identity
            try:
                self._document = self._parse() if identity else EMPTY
            except (OSError, ValueError, LookupError, TypeError) as error:
                pb_utils.Logger.log_error(f"{self._path} cannot be read: {error!r}")
        return self._document

    def _identify(self) -> Identity:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _parse(self) -> ServedDocument:
        assert self._path is not None
        return ServedDocument.from_json(self._path.read_bytes())


class DocumentWatch:
    """Answer each waiter once: when the document changes, when the server stops, or at the waiter's deadline.

    One thread looks at the file, and only while requests wait.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = DocumentFile(path)
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._waiting: list[Waiter] = []
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="document")
        self._thread.start()

    def add(
        self,
        version: int,
        wait_seconds: float,
        respond: Callable[[ServedDocument], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Answer a request: within `wait_seconds` while `version` is the current one, else at once."""
        waiter = Waiter(version, self._clock() + wait_seconds, respond, is_cancelled)
        with self._changed:
            document = self._file.read()
            if wait_seconds > 0 and not self._closing and not self._due(waiter, document):
                self._waiting.append(waiter)
                self._changed.notify()
                return
        respond(document)

    def read(self) -> ServedDocument:
        """Return the document at present."""
        with self._changed:
            return self._file.read()

    def close(self) -> None:
        """Answer every waiter, and stop the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: self._closing, timeout=self._poll_seconds)
                closing = self._closing
                document = self._file.read()
                due = [waiter for waiter in self._waiting if closing or self._due(waiter, document)]
                self._waiting = [waiter for waiter in self._waiting if waiter not in due]
            for waiter in due:
                try:
                    waiter.respond(document)
                except Exception as error:  # the thread is the other waiters' too
                    pb_utils.Logger.log_error(f"a request for the served models was not answered: {error!r}")

    def _due(self, waiter: Waiter, document: ServedDocument) -> bool:
        return (
            document.version != waiter.version
            or document.state == "stopping"
            or self._clock() >= waiter.deadline
            or waiter.is_cancelled()
        )
