"""The sign of a model's process that `initialize` has ended, for the supervisor: the name of the process.

It ends with the process, and needs no file and no connection. `ps -o comm` shows it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

_NAME: Final = "tritone-loaded"
"""At most 15 bytes, as Linux allows."""


def mark_initialized() -> None:
    """Give this process its sign. A model calls this at the end of `initialize`."""
    with suppress(OSError):  # only a load that hangs is noticed later without it
        Path("/proc/self/comm").write_text(_NAME, encoding="ascii")


def is_initialized(pid: int) -> bool:
    """Return whether the process has its sign."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() == _NAME
    except OSError:
        return False
