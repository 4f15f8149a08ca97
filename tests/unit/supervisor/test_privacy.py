"""What other users of the machine cannot read: a secret on a command line, and files of child processes."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from supervisor import command_secret
from supervisor.private_files import public_files
from supervisor.processes import Process

SECRET = "s3cret-of-a-run"
REMAINS = "import os, sys; print(sys.argv, flush=True); sys.stdin.read()"
FILES = """
import os, sys
os.chdir(sys.argv[1])
for mode in (0o644, 0o755):
    file = os.open(f"{mode:o}", os.O_CREAT | os.O_RDWR, 0o666)
    os.fchmod(file, mode)
os.close(os.open("plain", os.O_CREAT | os.O_RDWR, 0o666))
os.mkdir("folder")
"""


async def test_a_secret_is_removed_from_the_command_line_and_the_child_keeps_it() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", REMAINS, f"--one=x:{SECRET}", "--other", f"--two={SECRET}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout
    try:
        assert SECRET in (await asyncio.wait_for(child.stdout.readline(), 300)).decode()
        assert SECRET in command_line(child.pid)
        assert command_secret.hide(child.pid, SECRET)
        stars = "*" * len(SECRET)
        assert command_line(child.pid).endswith(f"--one=x:{stars}\0--other\0--two={stars}\0")
    finally:
        child.kill()
        await child.wait()


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def test_a_secret_of_a_process_that_is_gone_counts_as_readable() -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await child.wait()
    assert not command_secret.hide(child.pid, SECRET)


async def test_the_files_of_a_child_are_private_even_if_it_sets_mode_0644(tmp_path: Path) -> None:
    async with Process.running("child", [sys.executable, "-c", FILES, tmp_path], os.environ, grace=60) as child:
        assert await asyncio.wait_for(child.wait(), 300) == 0
    assert modes(tmp_path) == {"644": 0o600, "755": 0o755, "plain": 0o600, "folder": 0o700}


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize(("mode", "public"), [(0o600, False), (0o644, True), (0o660, True)])
def test_files_that_others_may_read_are_found(tmp_path: Path, mode: int, public: bool) -> None:
    region = tmp_path / "tritone-x_1"
    region.touch()
    region.chmod(mode)
    assert public_files(tmp_path, "tritone-x_") == [region] * public
