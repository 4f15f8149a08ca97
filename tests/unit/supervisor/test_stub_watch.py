"""The death of a stub is noticed, even if its parent never collects its status."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from supervisor import stub_watch

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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, dict[str, int]]]:
    """A process with the stubs of two models and another child, and their pids; it collects no exit status."""
    scripts = {name: tmp_path / name / "1" / "model.py" for name in MODELS}
    for script in scripts.values():
        script.parent.mkdir(parents=True)
        script.write_text(SLEEPING)
    other = tmp_path / "other.py"
    other.write_text(SLEEPING)
    command = [sys.executable, "-c", SERVER, *map(str, scripts.values()), str(other)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = map(int, process.stdout.readline().split())
        yield process.pid, dict(zip([*scripts, "other"], pids, strict=True))
        assert process.stdin
        process.stdin.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stub_watch, "_POLL", 0.01)


@pytest.mark.parametrize("model", MODELS)
async def test_the_model_of_a_dead_stub_is_named(server: tuple[int, dict[str, int]], model: str) -> None:
    pid, children = server
    async with aclosing(stub_watch.watch(pid, stub_watch.stubs_of(pid))) as deaths, asyncio.timeout(20):
        os.kill(children[model], signal.SIGKILL)
        assert await anext(deaths) == model


async def test_a_death_while_another_model_is_loaded_again_is_noticed(server: tuple[int, dict[str, int]]) -> None:
    pid, children = server
    async with aclosing(stub_watch.watch(pid, stub_watch.stubs_of(pid))) as deaths, asyncio.timeout(20):
        os.kill(children["speech"], signal.SIGKILL)
        assert await anext(deaths) == "speech"
        os.kill(children["transcription"], signal.SIGKILL)
        assert await anext(deaths) == "transcription"


def test_other_children_are_not_stubs(server: tuple[int, dict[str, int]]) -> None:
    pid, children = server
    assert stub_watch.stubs_of(pid) == {children[model]: model for model in MODELS}
