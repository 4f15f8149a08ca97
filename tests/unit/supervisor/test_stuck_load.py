"""A load that hangs is ended by the death of its stub, and begun again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from supervisor import stuck_load
from supervisor.control import LoadError
from supervisor.stuck_load import load_unless_stuck

MODEL = "m"


class Triton:
    """The children of this process in place of Triton's stubs; a load lasts until its stub is dead, or `release`."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / MODEL / "1" / "model.py"
        self._script.parent.mkdir(parents=True)
        self._script.write_text("import time; time.sleep(600)")
        self.stubs: list[subprocess.Popen[bytes]] = []
        self.hung_loads = 1
        self.release = asyncio.Event()

    def start_stub(self) -> subprocess.Popen[bytes]:
        self.stubs.append(subprocess.Popen([sys.executable, self._script, "region"]))
        return self.stubs[-1]

    async def load(self) -> None:
        stub = self.start_stub()
        if len(self.stubs) > self.hung_loads:
            await self.release.wait()
            return
        await asyncio.to_thread(stub.wait)
        raise LoadError("the stub is not healthy")


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[Triton]:
    triton = Triton(tmp_path)
    yield triton
    for stub in triton.stubs:
        stub.kill()
        stub.wait()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Every process is idle at once; the list has those that were looked at."""
    seen: list[list[int]] = []

    async def idleness(pids: Sequence[int]) -> None:
        seen.append(list(pids))

    monkeypatch.setattr(stuck_load, "idleness", idleness)
    monkeypatch.setattr(stuck_load, "_NEW_SECONDS", 0.01)
    return seen


async def test_a_load_that_hangs_is_begun_again(triton: Triton, idle: list[list[int]]) -> None:
    triton.release.set()
    async with asyncio.timeout(300):
        await load_unless_stuck(triton.load, os.getpid(), MODEL)
    assert [pids for pids in idle if pids == [triton.stubs[0].pid]]
    assert triton.stubs[1].poll() is None


async def test_a_load_that_always_hangs_is_an_error(triton: Triton, idle: list[list[int]]) -> None:
    triton.hung_loads = 5
    async with asyncio.timeout(300):
        with pytest.raises(LoadError, match="not healthy"):
            await load_unless_stuck(triton.load, os.getpid(), MODEL, tries=2)
    assert len(triton.stubs) == 2


async def test_a_stub_of_an_earlier_load_is_left_alone(triton: Triton, idle: list[list[int]]) -> None:
    earlier = triton.start_stub()
    triton.hung_loads = 2
    triton.release.set()
    async with asyncio.timeout(300):
        await load_unless_stuck(triton.load, os.getpid(), MODEL)
    assert earlier.poll() is None
    assert not any(earlier.pid in pids for pids in idle)


async def test_a_failure_without_a_hang_is_raised_at_once(triton: Triton) -> None:
    loads = 0

    async def fails() -> None:
        nonlocal loads
        loads += 1
        raise LoadError("weights are damaged")

    with pytest.raises(LoadError, match="damaged"):
        await load_unless_stuck(fails, os.getpid(), MODEL)
    assert loads == 1
