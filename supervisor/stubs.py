"""The processes that models run in. Triton leaves one that died for dead, and goes on to call its model ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

_POLL = 1.0
"""Seconds between two looks: kernels before 5.3 have no way to wait for a process that is not one's own child."""


async def deaths(server: int) -> AsyncGenerator[str]:
    """The models of process `server` whose stub dies; who asks for the next has loaded the last one again."""
    models = dict(_stubs(server))
    while True:
        dead = next((model for pid, model in models.items() if _parent(pid) != server), None)
        if dead is None:
            await asyncio.sleep(_POLL)
            continue
        yield dead
        models = {pid: model for pid, model in models.items() if model != dead} | dict(_stubs(server))


def _stubs(server: int) -> Iterator[tuple[int, str]]:
    """The living stubs of a server: the process, and the model that runs in it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _parent(pid := int(entry.name)) == server and (model := _model(pid)):
            yield pid, model


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
