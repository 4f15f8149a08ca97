"""The self-test of a checkpoint is run once in a run of the server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.triton.instance import Instance
from adapters.triton.self_test_once import self_test_once


class Counted:
    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> None:
        self.runs += 1


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    run, weights = tmp_path / "run", tmp_path / "models" / "base"
    run.mkdir()
    weights.mkdir(parents=True)
    (weights / "model.onnx").write_bytes(b"weights")
    return Instance("base", "cpu", 0, weights, 1, {}, run)


def test_a_test_that_passed_is_not_repeated_until_a_file_changes(instance: Instance) -> None:
    test = Counted()
    for _ in range(2):
        self_test_once(instance, instance.folder, test)
    assert test.runs == 1
    (instance.folder / "model.onnx").write_bytes(b"other weights")
    self_test_once(instance, instance.folder, test)
    self_test_once(replace(instance, model="large"), instance.folder, test)
    assert test.runs == 3


def test_a_test_that_failed_is_repeated(instance: Instance) -> None:
    def fail() -> None:
        raise RuntimeError("silent")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            self_test_once(instance, instance.folder, fail)


@pytest.mark.parametrize("change", [{"device": "cuda"}, {"run_folder": None}])
def test_a_test_on_a_gpu_or_without_supervisor_is_always_run(instance: Instance, change: dict[str, object]) -> None:
    test = Counted()
    for _ in range(2):
        self_test_once(replace(instance, **change), instance.folder, test)  # type: ignore[arg-type]
    assert test.runs == 2
