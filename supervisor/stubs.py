"""The processes that models run in. Triton leaves one that died for dead, and goes on to call its model ready."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

_POLL = 1.0
"""Seconds between two looks: kernels before 5.3 have no way to wait for a process that is not one's own child."""


async def death(server: int) -> str:
    """Wait until a stub dies that is now a child of process `server`; the model that ran in it."""
    models = {pid: model for pid in _children(server) if (model := _model(pid))}
    while True:
        for pid, model in models.items():
            if _parent(pid) != server:
                return model
        await asyncio.sleep(_POLL)


def _children(parent: int) -> Iterator[int]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return (pid for pid in pids if _parent(pid) == parent)


def _parent(pid: int) -> int | None:
    """The parent of a process; None for one that is dead, collected or not."""
    try:
        # After the name, which may hold anything: the state, the parent.
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)


def _model(pid: int) -> str | None:
    """The model that a process runs, by the second word of its command line: `<folder>/<model>/1/model.py`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return None
    script = Path(words[1]) if len(words) > 1 else Path()
    return script.parent.parent.name if script.name == "model.py" else None
