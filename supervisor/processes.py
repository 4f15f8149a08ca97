"""Child processes that are stopped in order and never outlive the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from supervisor import console
from supervisor.environments import ROOT
from supervisor.log import Log
from supervisor.private_files import make_private
from supervisor.process_state import reason_of

T = TypeVar("T")

IDLE_GRACE = 5.0
"""Seconds that a process without open requests has to end."""
_IDLE_POLL = 0.2
_EXIT_SECONDS = 2.0
"""Seconds that a process without work has to end, before it is killed."""
_DEATH_SECONDS = 1.0
"""Seconds to wait, after a broken connection, for the end of the process behind it."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class ProcessDiedError(Exception):
    """A child ended unexpectedly; the message has the last lines of its log."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message
        """The reason in a few words."""


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that `Process` can wait for all of them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Process:
    """A child in a session of its own: Ctrl-C at the terminal only reaches the supervisor, which stops the child.

    If the supervisor is killed, the kernel sends `last_signal` to the child. Its files are private to the user.
    """

    def __init__(
        self,
        name: str,
        child: asyncio.subprocess.Process,
        grace: float,
        log: Log | None,
        is_idle: Callable[[int], bool] | None,
    ) -> None:
        self.name = name
        self.grace = grace
        """Seconds from SIGTERM to SIGKILL."""
        self._child = child
        self._log = log
        self._is_idle = is_idle
        self._killed_for = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        name: str,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        *,
        grace: float,
        log: Log | None = None,
        last_signal: signal.Signals = signal.SIGKILL,
        is_idle: Callable[[int], bool] | None = None,
        hold: bool = False,
    ) -> AsyncIterator[Process]:
        """Start `command` in the clone; on leaving, end it and every process that it started.

        Its input is empty; with `hold`, it ends at the call of `release`. Its output goes to `log`, or to the
        supervisor's output. `is_idle`, called with its pid after SIGTERM, returns True if it has no more work: it is
        killed soon then, even if it waits for something.
        """
        parent = os.getpid()

        def follow_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, last_signal)
            if os.getppid() != parent:
                os._exit(1)
            make_private()

        async with log.writer() if log else contextlib.nullcontext() as output:
            child = await asyncio.create_subprocess_exec(
                *command,
                env=env,
                cwd=ROOT,
                stdin=PIPE if hold else DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=follow_parent,
            )
        process = cls(name, child, grace, log, is_idle)
        try:
            yield process
        finally:
            await process._stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        """True once its exit status is known."""
        return self._child.returncode is not None

    def release(self) -> None:
        """End the input of a process that is held."""
        if self._child.stdin:
            self._child.stdin.close()

    async def wait(self) -> int:
        """Wait until it ends, and return its exit status, negative for a signal."""
        return await self._child.wait()

    async def watch(self) -> NoReturn:
        """Wait until it ends unexpectedly. Raises `ProcessDiedError`."""
        status = await self._child.wait()
        await self._clear()
        reason = self._killed_for or reason_of(status)
        how = "was killed:" if self._killed_for else "was killed by" if status < 0 else "ended with"
        tail = self._log.tail if self._log else ()
        raise ProcessDiedError("\n  ".join([f"{self.name} {how} {reason}", *tail]), reason)

    def kill(self, reason: str) -> None:
        """Kill it; `watch` raises its error with the reason."""
        if self._child.returncode is None:
            self._killed_for = reason
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGKILL)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` while it runs. Raises `ProcessDiedError` if it ends before the work."""
        task, death = asyncio.create_task(work), asyncio.create_task(self.watch())
        try:
            await asyncio.wait((task, death), return_when=asyncio.FIRST_COMPLETED)
            if not death.done() and task.exception():  # a broken connection may be the first sign of a death
                await asyncio.wait((death,), timeout=_DEATH_SECONDS)
            return await (death if self._child.returncode is not None else task)
        finally:
            for either in (task, death):
                either.cancel()
            await asyncio.gather(task, death, return_exceptions=True)

    async def _stop(self) -> None:
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not `terminate`: it may reap a child that just ended, and asyncio would then never get its status.
                os.kill(self._child.pid, signal.SIGTERM)
            ends = [asyncio.create_task(each) for each in (self._child.wait(), self._idle())]
            try:
                if not (await asyncio.wait(ends, timeout=self.grace, return_when=asyncio.FIRST_COMPLETED))[0]:
                    console.info(f"{self.name}: still running after {self.grace:g} s, killed")
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        await self._clear()

    async def _idle(self) -> None:
        """Wait until it has no more work, and was given time to end by itself; for ever where that is not known."""
        while True:
            await asyncio.sleep(_IDLE_POLL)
            if self._is_idle and self._is_idle(self._child.pid):
                break
        await asyncio.sleep(_EXIT_SECONDS)

    async def _clear(self) -> None:
        """Kill the rest of its session, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        await self._child.wait()
        await asyncio.to_thread(_reap, self._child.pid)
        if self._log:
            await self._log.finish()


def _reap(group: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)
