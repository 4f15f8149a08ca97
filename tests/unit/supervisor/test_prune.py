"""Environments that were not used for a month are removed, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor import prune
from supervisor.environments import MARKER

DAY = 24 * 3600


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRITONE_CACHE", str(tmp_path))
    return tmp_path


def environment(cache: Path, name: str, days_unused: float) -> Path:
    folder = cache / "envs" / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / MARKER).touch()
    used = time.time() - days_unused * DAY
    os.utime(folder / MARKER, (used, used))
    return folder


def test_an_environment_unused_for_a_month_is_removed_and_logged(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, recent = environment(cache, "kokoro-1", 31), environment(cache, "kokoro-2", 29)
    assert prune.main() == 0
    assert not old.exists()
    assert (recent / MARKER).exists()
    assert "kokoro-1" in capsys.readouterr().out
    assert prune.main() == 0


def test_an_environment_with_a_running_process_stays(cache: Path) -> None:
    old = environment(cache, "gateway-1", 365)
    command: list[str | Path] = [old / "bin" / "python", "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        prune.main()
        assert (old / MARKER).exists()
        running.communicate(b"\n")
    prune.main()
    assert not old.exists()


def test_a_half_built_environment_is_left_to_its_builder(cache: Path) -> None:
    half = environment(cache, "qwen-1", 365)
    (half / MARKER).unlink()
    prune.main()
    assert half.exists()
