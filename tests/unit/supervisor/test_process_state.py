"""The state of a process, as Linux and its emulators report it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from supervisor.process_state import ProcessState, reason_of


def test_a_live_process_without_the_last_fields_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(f"/proc/{os.getpid()}/stat").read_text()
    monkeypatch.setattr(Path, "read_text", lambda _path: " ".join(whole.split()[:44]))  # as under qemu-user
    state = ProcessState.read(os.getpid())
    assert state
    assert (state.parent, state.wait_status, state.is_dead) == (os.getppid(), 0, False)


def test_a_dead_process_has_the_status_of_its_end() -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        state = ProcessState.read(process.pid)
    assert state
    assert state.is_dead
    assert reason_of(os.waitstatus_to_exitcode(state.wait_status)) == signal.SIGKILL.name
