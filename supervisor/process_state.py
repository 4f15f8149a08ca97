"""The state of any process, from Linux's `/proc`."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_DEAD = "ZX"


@dataclass(frozen=True)
class ProcessState:
    """A process at one moment."""

    state: str
    """Linux's letter: R runs, S sleeps, D waits for a device, T is stopped by a signal, Z is dead."""
    parent: int
    cpu_seconds: float
    """CPU time of all its threads since its start."""
    wait_status: int
    """The exit of a dead process, as `waitpid` reports it; 0 for a live one."""

    @classmethod
    def read(cls, pid: int) -> ProcessState | None:
        """Return the state of a process; None if there is none, not even a dead one."""
        try:
            # The name before the last parenthesis may contain any character.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, ticks = fields[0], int(fields[11]) + int(fields[12])
        # Under qemu-user, a process reads fewer fields of itself.
        wait_status = int(fields[49]) if state in _DEAD else 0
        return cls(state, int(fields[1]), ticks / _TICKS_PER_SECOND, wait_status)

    @property
    def is_dead(self) -> bool:
        """True even before the parent has collected the exit status."""
        return self.state in _DEAD


def waiting_seconds(pid: int) -> float:
    """Return the time for which the threads of a process were ready to run and had no CPU; 0 where Linux keeps none."""
    seconds = 0.0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            seconds += int(thread.read_text().split()[1]) / 1e9
    return seconds


def reason_of(exit_status: int) -> str:
    """Return the reason of an end, for the log: `SIGKILL` or `status 1`; a negative status is a signal."""
    return signal.Signals(-exit_status).name if exit_status < 0 else f"status {exit_status}"
