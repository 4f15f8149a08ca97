"""The state of a process, as Linux and its emulators report it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor.process_state import ProcessState, reason_of, waiting_seconds


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


def test_a_process_that_shares_its_cpu_waits_for_it() -> None:
    own = Path("/proc/self/schedstat")
    if not own.exists() or own.read_text().startswith("0 "):
        pytest.skip("this kernel does not measure how long a process waits for a CPU")
    command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as other:
        deadline = time.monotonic() + 300
        try:
            while waiting_seconds(one.pid) < 0.1:
                assert (one.poll(), other.poll()) == (None, None)
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            one.kill()
            other.kill()
    assert waiting_seconds(one.pid) == 0
