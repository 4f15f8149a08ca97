"""Restarts of a part of the run that died, with growing pauses and an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from supervisor import console
from supervisor.errors import StartError
from supervisor.processes import ProcessDiedError

Run = Callable[[Callable[[], None]], Awaitable[NoReturn]]
"""Starts a part, calls its argument once the part serves, and raises `StartError` or `ProcessDiedError` at its end."""

_STABLE_SECONDS = 60.0
"""A part that served for this long has not failed quickly."""
_ABORT = "SIGABRT"
"""Triton 2.51 can abort while it loads models; seen on overloaded machines only."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a restart, after one, two, ... quick failures in a row; the last pause is repeated."""


class Backoff:
    """Counts quick failures in a row, and returns the pause before the next start."""

    def __init__(self, *, at_once: bool = False) -> None:
        """`at_once`: there is no pause after the first failure."""
        self._pauses = (0.0, *PAUSES) if at_once else PAUSES
        self._ready_at: float | None = None
        self.failures: list[str] = []
        """The reasons of the quick failures in a row, the last one included."""

    def ready(self) -> None:
        """Record that the part serves now."""
        self._ready_at = time.monotonic()

    def fail(self, reason: str) -> float:
        """Record the part's end, and return the pause in seconds."""
        if self._ready_at is not None and time.monotonic() - self._ready_at >= _STABLE_SECONDS:
            self.failures.clear()
        self._ready_at = None
        self.failures.append(reason)
        return self._pauses[min(len(self.failures), len(self._pauses)) - 1]


class Part:
    """A part of the run that is restarted after its death; `kept` makes one."""

    def __init__(self, name: str, run: Run, max_restarts: int) -> None:
        self._name = name
        self._run = run
        self._max_restarts = max_restarts
        self._served = asyncio.Event()
        self.task: asyncio.Task[NoReturn] = asyncio.create_task(self._keep())
        """Ends with `StartError` or `ProcessDiedError` if the part cannot be started (again)."""

    @property
    def has_served(self) -> bool:
        """True once it has served for the first time."""
        return self._served.is_set()

    async def serving(self) -> None:
        """Wait until it serves for the first time. Raises the error of a start that failed."""
        await before(self._served.wait(), self.task)

    async def _keep(self) -> NoReturn:
        backoff = Backoff()

        def ready() -> None:
            backoff.ready()
            if self._served.is_set():
                console.info(f"{self._name} serves again")
            self._served.set()

        while True:
            try:
                await self._run(ready)
            except (StartError, ProcessDiedError) as error:
                aborted = isinstance(error, ProcessDiedError) and error.reason == _ABORT
                if not (aborted or self._served.is_set()):
                    raise
                if isinstance(error, ProcessDiedError):
                    reason, (_, *details) = error.reason, str(error).splitlines()
                else:
                    reason, *details = str(error).removeprefix("not started: ").splitlines()
                pause = backoff.fail(reason)
                if (count := len(backoff.failures)) > self._max_restarts:
                    summary = f"{self._name} died {count} times without a minute of service: "
                    raise ProcessDiedError("\n".join([summary + ", ".join(backoff.failures), *details])) from None
                console.error("\n".join([f"{self._name} died ({reason}), restarting in {pause:g} s", *details]))
                await asyncio.sleep(pause)


@asynccontextmanager
async def kept(name: str, run: Run, max_restarts: int) -> AsyncIterator[Part]:
    """Run a part, and start it again when it dies, at most `max_restarts` times without a minute of service.

    On leaving, the part is stopped. An end before the part served for the first time is not followed by a restart,
    because another start would end in the same way; an abort is.
    """
    part = Part(name, run, max_restarts)
    try:
        yield part
    finally:
        part.task.cancel()
        await asyncio.gather(part.task, return_exceptions=True)


async def before(work: Coroutine[Any, Any, Any], *tasks: asyncio.Task[NoReturn]) -> None:
    """Await `work`, unless one of `tasks` ends before: its error is raised then."""
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((working, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for ended in (*tasks, working):
            if ended.done():
                await ended
                return
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def together(*works: Coroutine[Any, Any, Any]) -> None:
    """Await all of `works` at once; the first error cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):  # a work may have a group of its own
            first = first.exceptions[0]
        raise first from None
