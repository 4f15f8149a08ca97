"""The death of a stub is noticed, even if its parent never collects its status."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import stubs
from supervisor.stubs import Stub, has_work, stubs_of

SERVER = """
import subprocess, sys
children = [subprocess.Popen([sys.executable, *arguments.split()]) for arguments in sys.argv[1:]]
print(*(child.pid for child in children), flush=True)
sys.stdin.read()
for child in children:
    child.kill()
"""
MODELS = ("speech", "transcription")
SLEEPING = "import time; time.sleep(600)"
PATIENCE = 300.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, dict[str, int]]]:
    """A process with the stubs of two models and another child, and their pids; it collects no exit status."""
    scripts = {name: tmp_path / name / "1" / "model.py" for name in MODELS}
    for script in scripts.values():
        script.parent.mkdir(parents=True)
        script.write_text(SLEEPING)
    other = tmp_path / "other.py"
    other.write_text(SLEEPING)
    children = [f"{script} region-{name}" for name, script in scripts.items()]
    command = [sys.executable, "-c", SERVER, *children, f"{other} region"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = map(int, process.stdout.readline().split())
        yield process.pid, dict(zip([*scripts, "other"], pids, strict=True))
        assert process.stdin
        process.stdin.close()


@pytest.fixture(params=["pidfd", "an old kernel"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    if request.param == "an old kernel":
        monkeypatch.setattr(os, "pidfd_open", unknown)
        monkeypatch.setattr(stubs, "_POLL", 0.01)


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_death_of_a_stub_has_its_signal(server: tuple[int, dict[str, int]], number: signal.Signals) -> None:
    pid, children = server
    with stubs_of(pid, "speech") as (stub,):
        death = asyncio.create_task(stub.death())
        os.kill(children["speech"], number)
        async with asyncio.timeout(PATIENCE):
            assert await death == number.name


@pytest.mark.usefixtures("_kernel")
async def test_a_killed_stub_is_dead_and_the_others_live(server: tuple[int, dict[str, int]]) -> None:
    pid, _ = server
    with stubs_of(pid) as found:
        speech, transcription = sorted(found, key=lambda stub: stub.model)
        speech.kill()
        async with asyncio.timeout(PATIENCE):
            assert await speech.death() == "SIGKILL"
        assert [stub.lives for stub in (speech, transcription)] == [False, True]
        speech.kill()
    with stubs_of(pid) as rest:
        assert [stub.pid for stub in rest] == [transcription.pid]


def test_other_children_are_not_stubs(server: tuple[int, dict[str, int]]) -> None:
    pid, children = server
    with stubs_of(pid) as found:
        assert {(stub.pid, stub.model, stub.region) for stub in found} == {
            (children[model], model, f"region-{model}") for model in MODELS
        }
    with stubs_of(pid, "other") as found:
        assert found == []


async def test_a_server_has_work_until_only_the_stub_of_the_document_lives(
    server: tuple[int, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, _ = server
    assert has_work(pid)
    with stubs_of(pid, "speech") as (stub,):
        stub.kill()
        await stub.death()
    assert has_work(pid)
    monkeypatch.setattr(stubs, "MODEL", "transcription")
    assert not has_work(pid)


def test_descriptors_are_closed(server: tuple[int, dict[str, int]]) -> None:
    pid, _ = server
    with stubs_of(pid) as found:
        (stub, *_) = found
        assert isinstance(stub, Stub)
        assert stub.descriptor is not None
        os.fstat(stub.descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(stub.descriptor)
