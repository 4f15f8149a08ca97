"""Stubs, the processes of Python models: Triton neither restarts a dead one nor marks its model unready."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from supervisor.process_state import ProcessState, reason_of
from tritone.served import MODEL

_POLL = 1.0
"""Seconds between two looks where the kernel (before 5.3) cannot report the end of another process's child."""


@dataclass(frozen=True)
class Stub:
    """A stub that runs."""

    pid: int
    model: str
    region: str
    """The name of its shared memory region."""
    descriptor: int | None
    """Linux's `pidfd`, which never refers to a later process with the same id; None if the kernel has none."""

    @property
    def lives(self) -> bool:
        """True until it is dead, whether its parent has collected its exit status or not."""
        last = ProcessState.read(self.pid)
        return last is not None and not last.is_dead

    async def death(self) -> str:
        """Wait for its death, and return the reason of it."""
        while self.lives:
            await (asyncio.sleep(_POLL) if self.descriptor is None else _readable(self.descriptor))
        last = ProcessState.read(self.pid)
        return reason_of(os.waitstatus_to_exitcode(last.wait_status)) if last and last.is_dead else "unknown reason"

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            if self.descriptor is None:
                os.kill(self.pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)


@contextmanager
def stubs_of(server: int, model: str = "") -> Iterator[list[Stub]]:
    """Find the stubs of the process `server` that live, those of all models or of one."""
    found = []
    try:
        for pid in _children(server):
            with suppress(OSError):
                arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                # The script is `<folder>/<model>/1/model.py`; a dead process has no arguments.
                script = Path(arguments[1]) if len(arguments) > 2 else Path()
                if script.name == "model.py" and model in ("", script.parts[-3]):
                    found.append(Stub(pid, script.parts[-3], arguments[2], _descriptor(pid)))
        yield found
    finally:
        for stub in found:
            if stub.descriptor is not None:
                os.close(stub.descriptor)


def has_work(server: int) -> bool:
    """Return whether any stub lives but that of `tritone`, which answers its requests at once at a stop."""
    with stubs_of(server) as found:
        return any(stub.model != MODEL for stub in found)


def _children(server: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        found = ProcessState.read(int(entry.name)) if entry.name.isdecimal() else None
        if found and found.parent == server and not found.is_dead:
            yield int(entry.name)


def _descriptor(pid: int) -> int | None:
    """Return a `pidfd`; None if the kernel or its seccomp filter has no such call."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
