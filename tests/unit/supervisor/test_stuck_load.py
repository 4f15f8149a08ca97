"""A load that hangs is ended by the death of its stub, and begun again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import silence, stuck_load
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


class Progress:
    """The progress of a process that works until `idle_after` looks, and is idle from then on."""

    idle_after = 0
    seen: list[int]
    """The process of each look."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looks = 0

    @property
    def idle_looks(self) -> int:
        return max(0, self._looks - self.idle_after)

    def look(self) -> None:
        self.seen.append(self._pid)
        self._looks += 1


@pytest.fixture(autouse=True)
def progress(monkeypatch: pytest.MonkeyPatch) -> type[Progress]:
    monkeypatch.setattr(silence, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(stuck_load, "Progress", Progress)
    monkeypatch.setattr(Progress, "idle_after", 0)
    monkeypatch.setattr(Progress, "seen", [], raising=False)
    return Progress


async def test_a_load_that_hangs_is_begun_again(triton: Triton) -> None:
    triton.release.set()
    async with asyncio.timeout(300):
        await load_unless_stuck(triton.load, os.getpid(), MODEL)
    assert triton.stubs[0].poll() is not None
    assert triton.stubs[1].poll() is None


async def test_a_process_that_may_still_initialize_is_given_twelve_looks_without_progress(
    triton: Triton, progress: type[Progress]
) -> None:
    triton.release.set()
    progress.idle_after = 20
    async with asyncio.timeout(300):
        await load_unless_stuck(triton.load, os.getpid(), MODEL)
    assert progress.seen == 32 * [triton.stubs[0].pid]


async def test_a_process_that_has_initialized_is_given_three_looks(
    triton: Triton, progress: type[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its idle looks before do not count: it may have waited for a disk."""
    triton.release.set()
    monkeypatch.setattr(stuck_load, "is_initialized", lambda pid: len(progress.seen) >= 8)
    async with asyncio.timeout(300):
        await load_unless_stuck(triton.load, os.getpid(), MODEL)
    assert progress.seen == 11 * [triton.stubs[0].pid]


async def test_a_process_that_has_initialized_waits_for_another_of_its_model(
    triton: Triton, progress: type[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    triton.release.set()
    triton.hung_loads = 2

    async def load_two() -> None:
        if not triton.stubs:
            monkeypatch.setattr(stuck_load, "is_initialized", triton.start_stub().pid.__eq__)
        await triton.load()

    async with asyncio.timeout(300):
        await load_unless_stuck(load_two, os.getpid(), MODEL)
    first, second, _ = triton.stubs
    assert progress.seen.count(second.pid) == 12
    assert first.wait(300) < 0


async def test_a_load_that_always_hangs_is_an_error(triton: Triton) -> None:
    triton.hung_loads = 5
    async with asyncio.timeout(300):
        with pytest.raises(LoadError, match="not healthy"):
            await load_unless_stuck(triton.load, os.getpid(), MODEL, tries=2)
    assert len(triton.stubs) == 2


async def test_a_stub_of_an_earlier_load_is_left_alone(triton: Triton, progress: type[Progress]) -> None:
    earlier = triton.start_stub()
    triton.hung_loads = 2
    triton.release.set()
    async with asyncio.timeout(300):
        await load_unless_stuck(triton.load, os.getpid(), MODEL)
    assert earlier.poll() is None
    assert earlier.pid not in progress.seen


async def test_a_failure_without_a_hang_is_raised_at_once(triton: Triton) -> None:
    loads = 0

    async def fails() -> None:
        nonlocal loads
        loads += 1
        raise LoadError("weights are damaged")

    with pytest.raises(LoadError, match="damaged"):
        await load_unless_stuck(fails, os.getpid(), MODEL)
    assert loads == 1
