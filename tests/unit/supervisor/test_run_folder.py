from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from supervisor import run_folder as module
from supervisor.run_folder import find_run, record_port, run_folder, shared_memory_prefix


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
        (shared_memory / "another program's").touch()
    assert (folder / "triton.log").exists()
    assert [path.name for path in shared_memory.iterdir()] == ["another program's"]


def test_the_remains_of_a_killed_run_are_removed_by_the_next_run(tmp_path: Path, shared_memory: Path) -> None:
    killed = tmp_path / "runs" / "tritone-killed"
    killed.mkdir(parents=True)
    (killed / "lock").touch()
    (shared_memory / f"{shared_memory_prefix(killed)}region").touch()
    with run_folder(tmp_path / "runs"):
        assert not killed.exists()
        assert not list(shared_memory.iterdir())


def test_a_running_run_is_left_alone(tmp_path: Path, shared_memory: Path) -> None:
    with run_folder(tmp_path / "runs") as first:
        region = shared_memory / f"{shared_memory_prefix(first)}region"
        region.touch()
        with run_folder(tmp_path / "runs") as second:
            assert second != first
            assert first.exists()
        assert region.exists()


def test_a_restart_of_triton_on_a_full_disk_keeps_the_recorded_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_folder(tmp_path / "runs") as folder:
        record_port(folder, 8001)

        def full(path: Path, *_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", full)
            record_port(folder, 8001)
        assert find_run(tmp_path / "runs", 8001) == folder


def test_the_newest_run_of_a_port_is_found(tmp_path: Path) -> None:
    with run_folder(tmp_path / "runs") as first, run_folder(tmp_path / "runs") as second:
        record_port(first, 8001)
        record_port(second, 8001)
        os.utime(first / "grpc_port", (1, 1))
        assert find_run(tmp_path / "runs", 8001) == second
        assert find_run(tmp_path / "runs", 18001) is None


def test_the_run_of_another_container_on_the_same_port_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_folder(tmp_path / "runs") as folder:
        record_port(folder, 8001)
        monkeypatch.setattr(module, "NETWORK", tmp_path)
        assert find_run(tmp_path / "runs", 8001) is None
