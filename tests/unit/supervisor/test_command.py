"""The command `scripts/serve`: what stops a start is one line."""

from __future__ import annotations

import errno
from typing import cast

import pytest

from supervisor import command
from supervisor.plan import Plan


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "not started: No space left on device: "),
        (OSError(errno.EROFS, "Read-only file system", "/a/runs"), "not started: Read-only file system: /a/runs: "),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "not started: Permission denied: /a: "),
    ],
)
async def test_a_disk_that_cannot_be_written_to_is_one_line(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepare(plan: Plan) -> Plan:
        return plan

    async def serve(plan: Plan) -> None:
        raise error

    monkeypatch.setattr(command, "prepare", prepare)
    monkeypatch.setattr(command, "serve", serve)
    monkeypatch.setattr(command, "stop_on_signals", lambda: None)
    monkeypatch.setattr(command, "adopt_orphans", lambda: None)
    assert await command.run(cast(Plan, None)) == command.FAILED
    written = capsys.readouterr().err
    assert written.startswith(line)
    assert written.count("\n") == 1


async def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def prepare(plan: Plan) -> Plan:
        raise ConnectionError("no disk")

    monkeypatch.setattr(command, "prepare", prepare)
    monkeypatch.setattr(command, "stop_on_signals", lambda: None)
    monkeypatch.setattr(command, "adopt_orphans", lambda: None)
    with pytest.raises(ConnectionError):
        await command.run(cast(Plan, None))
