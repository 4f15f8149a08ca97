"""Deaths of stubs, the processes of Python models: Triton neither restarts them nor marks their models unready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

_POLL = 1.0
"""Seconds between two looks: kernels before 5.3 cannot wait for a process that is not a child of the caller."""


def stubs_of(server: int) -> dict[int, str]:
    """Return the stubs of the process `server`: process id -> model."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return {pid: model for pid in pids if _parent(pid) == server and (model := _model(pid))}


async def watch(server: int, stubs: Mapping[int, str]) -> AsyncGenerator[str]:
    """Yield each model of the process `server` when its stub dies.

    `stubs` are those that run at the start. The caller must load the model again before it advances the generator.
    """
    while True:
        dead = next((model for pid, model in stubs.items() if _parent(pid) != server), None)
        if dead is None:
            await asyncio.sleep(_POLL)
            continue
        yield dead
        stubs = {pid: model for pid, model in stubs.items() if model != dead} | stubs_of(server)


def _parent(pid: int) -> int | None:
    """Return the parent of a process; None if it is dead, whether its status was collected or not."""
    try:
        # After the name, which may contain any character: the state, the parent.
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)


def _model(pid: int) -> str | None:
    """Return the model that a stub runs, from its first argument: `<folder>/<model>/1/model.py`."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return None
    script = Path(arguments[1]) if len(arguments) > 1 else Path()
    return script.parent.parent.name if script.name == "model.py" else None
