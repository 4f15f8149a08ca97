"""Children are real and small; the stubborn ones ignore SIGTERM."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from supervisor.environments import ROOT
from supervisor.log import Log
from supervisor.processes import Process, ProcessDiedError

PATIENCE = 300.0
"""Seconds for a small Python to start or end on a machine that is busy with builds."""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
START_STUBBORN = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
print(child.pid, flush=True)
"""
OWNER = f"""
import asyncio, os, sys
from supervisor.log import Log
from supervisor.processes import Process

async def main():
    async with Process.running("child", [sys.executable, "-c", {STUBBORN!r}], os.environ, grace=1):
        await asyncio.sleep(600)

asyncio.run(main())
"""


def running(code: str, path: Path, grace: float = PATIENCE) -> AbstractAsyncContextManager[Process]:
    log = Log("child", path, is_alarming=lambda line: line.startswith("E"))
    return Process.running("child", [sys.executable, "-c", code], os.environ, grace=grace, log=log)


async def first_line(log: Path) -> str:
    def wait() -> str:
        deadline = time.monotonic() + PATIENCE
        while not (log.exists() and "\n" in log.read_text()):
            assert time.monotonic() < deadline, f"the child said nothing in {PATIENCE} s"
            time.sleep(0.01)
        return log.read_text().splitlines()[0]

    return await asyncio.to_thread(wait)


def has_ended(pidfd: int) -> bool:
    """Return whether the process ends in time; a zombie has ended."""
    ended, _, _ = select.select([pidfd], [], [], PATIENCE)
    os.close(pidfd)
    return bool(ended)


async def test_a_log_whose_disk_is_full_is_reported_once_and_the_child_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running("print('E one\\ntwo\\nthree')", Path("/dev/full")) as child:
        assert await asyncio.wait_for(child.wait(), PATIENCE) == 0
    captured = capsys.readouterr()
    assert captured.err == "child: its log is incomplete from here on: No space left on device: /dev/full\n"
    assert captured.out == "child: E one\n"


async def test_a_log_comes_back_when_it_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "later" / "log"
    code = f"import os, time; print('one', flush=True)\nwhile not os.path.exists({str(log.parent)!r}): time.sleep(0.01)"
    async with running(code + "\nprint('two', flush=True); time.sleep(600)", log):
        async with asyncio.timeout(PATIENCE):
            while "incomplete" not in capsys.readouterr().err:  # noqa: ASYNC110 - output gives no event
                await asyncio.sleep(0.01)
        log.parent.mkdir()
        assert await first_line(log) == "two"
    assert "its log is written again" in capsys.readouterr().out


async def test_a_child_that_ignores_sigterm_is_killed_when_its_grace_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(STUBBORN, tmp_path / "log", grace=0.1) as child:
        await first_line(tmp_path / "log")
    assert await child.wait() == -signal.SIGKILL
    assert capsys.readouterr().out == "child: still running after 0.1 s, killed\n"


async def test_a_child_that_obeys_is_not_killed(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print('up', flush=True); time.sleep(600)"
    )
    async with running(code, tmp_path / "log") as child:
        await first_line(tmp_path / "log")
    assert await child.wait() == 3


async def test_a_grandchild_ends_with_its_parent(tmp_path: Path) -> None:
    async with running(START_STUBBORN + "time.sleep(600)", tmp_path / "log"):
        grandchild = os.pidfd_open(int(await first_line(tmp_path / "log")))
    assert has_ended(grandchild)


async def test_a_stubborn_child_without_work_is_killed_before_its_grace_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("supervisor.processes._EXIT_SECONDS", 0.01)
    busy = iter([False, False, True])
    log = Log("child", tmp_path / "log", is_alarming=lambda _: False)
    command = [sys.executable, "-c", STUBBORN]
    async with Process.running("child", command, os.environ, grace=600, log=log, is_idle=lambda _: next(busy)) as child:
        await first_line(tmp_path / "log")
    assert await child.wait() == -signal.SIGKILL
    assert next(busy, None) is None
    assert capsys.readouterr().out == ""


async def test_a_child_that_is_killed_for_a_reason_died_of_it(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), running(STUBBORN, tmp_path / "log") as child:
        await first_line(tmp_path / "log")
        os.kill(child.pid, signal.SIGSTOP)
        child.kill("no answer for 30 s, killed")
        with pytest.raises(ProcessDiedError) as died:
            await child.watch()
    assert str(died.value) == "child was killed: no answer for 30 s, killed\n  up"
    assert died.value.reason == "no answer for 30 s, killed"


async def test_a_childs_death_is_noticed_while_its_orphans_live(tmp_path: Path) -> None:
    with pytest.raises(ProcessDiedError, match="child ended with status 5"):
        async with asyncio.timeout(PATIENCE), running(START_STUBBORN + "sys.exit(5)", tmp_path / "log") as child:
            await child.watch()


async def test_an_unexpected_end_is_reported_with_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ProcessDiedError) as died:
        async with running("print('first'); print('no memory'); raise SystemExit(7)", tmp_path / "log") as child:
            await child.watch()
    assert str(died.value) == "child ended with status 7\n  first\n  no memory"
    assert died.value.reason == "status 7"


async def test_work_that_needs_a_child_is_cancelled_when_it_dies(tmp_path: Path) -> None:
    given_up = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            given_up.set()

    with pytest.raises(ProcessDiedError, match="child was killed by SIGKILL"):
        async with running("import os; os.kill(os.getpid(), 9)", tmp_path / "log") as child:
            await child.during(work())
    assert given_up.is_set()


async def test_a_childs_death_explains_the_connection_that_broke_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.processes._DEATH_SECONDS", PATIENCE)

    async def work() -> None:
        await first_line(tmp_path / "log")
        raise ConnectionResetError

    with pytest.raises(ProcessDiedError):
        async with running("print('bye', flush=True)", tmp_path / "log") as child:
            await child.during(work())


async def test_work_is_done_while_a_child_runs(tmp_path: Path) -> None:
    async with running(STUBBORN, tmp_path / "log", grace=0) as child:
        assert await child.during(first_line(tmp_path / "log")) == "up"


async def test_alarming_lines_reach_the_terminal_and_all_lines_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProcessDiedError):
        async with running("print('I fine'); print('E bad')", tmp_path / "log") as child:
            await child.watch()
    assert capsys.readouterr().out == "child: E bad\n"
    assert (tmp_path / "log").read_text() == "I fine\nE bad\n"


async def test_a_childs_session_is_its_own(tmp_path: Path) -> None:
    async with running("import os; print(os.getsid(0), os.getpid(), flush=True)", tmp_path / "log"):
        session, pid = (await first_line(tmp_path / "log")).split()
    assert session == pid


def test_a_child_does_not_outlive_an_owner_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"up\n"
        children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children")
        child = os.pidfd_open(int(children.read_text()))
        owner.kill()
    assert has_ended(child)
