"""The processes that models run in. Triton leaves one that died for dead, and goes on to call its model ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

_POLL = 1.0
"""Seconds between two looks: kernels before 5.3 have no way to wait for a process that is not one's own child."""


def living(server: int) -> dict[int, str]:
    """The stubs of process `server`: process id -> the model that runs in it."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return {pid: model for pid in pids if _parent(pid) == server and (model := _model(pid))}


async def deaths(server: int, stubs: Mapping[int, str]) -> AsyncGenerator[str]:
    """The models of process `server` one of whose `stubs` dies; who asks for the next has loaded the last one again."""
    while True:
        dead = next((model for pid, model in stubs.items() if _parent(pid) != server), None)
        if dead is None:
            await asyncio.sleep(_POLL)
            continue
        yield dead
        stubs = {pid: model for pid, model in stubs.items() if model != dead} | living(server)


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
