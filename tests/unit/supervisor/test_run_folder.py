from __future__ import annotations

from pathlib import Path

import pytest

from supervisor import run_folder as module
from supervisor.run_folder import run_folder, shared_memory_prefix


@pytest.fixture(autouse=True)
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(module, "SHARED_MEMORY", folder)
    return folder


def test_a_run_leaves_its_logs_and_no_shared_memory(tmp_path: Path, shared_memory: Path) -> None:
    with run_folder(tmp_path / "runs") as folder:
        (folder / "triton.log").touch()
        (shared_memory / f"{shared_memory_prefix(folder)}region").touch()
        (shared_memory / "somebody else's").touch()
    assert (folder / "triton.log").exists()
    assert [path.name for path in shared_memory.iterdir()] == ["somebody else's"]


def test_what_a_killed_run_left_is_cleared_when_the_next_begins(tmp_path: Path, shared_memory: Path) -> None:
    killed = tmp_path / "runs" / "tritone-killed"
    killed.mkdir(parents=True)
    (killed / "lock").touch()
    (shared_memory / f"{shared_memory_prefix(killed)}region").touch()
    with run_folder(tmp_path / "runs"):
        assert not killed.exists()
        assert not list(shared_memory.iterdir())


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path, shared_memory: Path) -> None:
    with run_folder(tmp_path / "runs") as first:
        region = shared_memory / f"{shared_memory_prefix(first)}region"
        region.touch()
        with run_folder(tmp_path / "runs") as second:
            assert second != first
            assert first.exists()
        assert region.exists()
