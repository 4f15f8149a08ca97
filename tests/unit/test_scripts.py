"""The developer's scripts choose the right environments, and the files of other tools call those scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.environments import ROOT

QWEN = "tests/unit/adapters/qwen3_tts"
F5, KOKORO = "tests/unit/adapters/f5_tts", "tests/unit/adapters/kokoro_gpu"
OMNI = "tests/unit/adapters/qwen2_5_omni"
ZONOS = "tests/unit/adapters/zonos"
TRAINING = "tests/unit/finetuning/training"
UNIT = ["-m", "pytest", "-m", "not weights"]
RECORDER = """#!/bin/sh
# Writes its arguments down, a line a call, and exits with the status that STATUS_<environment> names.
{python} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@" >> {calls}
eval "exit \\${{STATUS_$3:-0}}"
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that runs nothing."""
    program = tmp_path / "python"
    program.write_text(RECORDER.format(python=sys.executable, calls=tmp_path / "calls"))
    program.chmod(0o755)
    return program


def run(script: str, python: Path, *arguments: str, **variables: str) -> tuple[int, list[list[str]]]:
    """The script's exit status, and each of its calls of Python: environment, command..."""
    environment = {**os.environ, "PYTHON": str(python), **variables}
    status = subprocess.run([ROOT / "scripts" / script, *arguments], env=environment, check=False).returncode
    lines = python.with_name("calls").read_text().splitlines()
    calls: list[list[str]] = [json.loads(line) for line in lines]
    assert {tuple(call[:2]) for call in calls} <= {("-m", "supervisor.environments")}
    return status, [call[2:] for call in calls]


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        ([], [["dev", *UNIT, "tests/unit"], ["qwen", *UNIT, F5, KOKORO, OMNI, QWEN, ZONOS, TRAINING]]),
        (
            ["-k", "a or b"],
            [
                ["dev", *UNIT, "-k", "a or b", "tests/unit"],
                ["qwen", *UNIT, "-k", "a or b", F5, KOKORO, OMNI, QWEN, ZONOS, TRAINING],
            ],
        ),
        (["tests/unit/tritone", "-x"], [["dev", *UNIT, "-x", "tests/unit/tritone"]]),
        ([f"{QWEN}/test_model.py::test_one"], [["qwen", *UNIT, f"{QWEN}/test_model.py::test_one"]]),
        ([f"./{QWEN}/"], [["qwen", *UNIT, f"{QWEN}/"]]),
        (["tests/unit/finetuning"], [["dev", *UNIT, "tests/unit/finetuning"], ["qwen", *UNIT, TRAINING]]),
        ([f"{TRAINING}/test_proof.py"], [["qwen", *UNIT, f"{TRAINING}/test_proof.py"]]),
        (
            ["tests/unit/adapters"],
            [["dev", *UNIT, "tests/unit/adapters"], ["qwen", *UNIT, F5, KOKORO, OMNI, QWEN, ZONOS]],
        ),
        ([f"{OMNI}/test_text.py"], [["qwen", *UNIT, f"{OMNI}/test_text.py"]]),
        ([QWEN, "tests/unit/gateway"], [["dev", *UNIT, "tests/unit/gateway"], ["qwen", *UNIT, QWEN]]),
    ],
    ids=[
        "nothing",
        "option",
        "folder",
        "test",
        "slashes",
        "room",
        "training",
        "folder of both",
        "another family",
        "several",
    ],
)
def test_unit_runs_each_path_in_its_environment(python: Path, arguments: list[str], calls: list[list[str]]) -> None:
    assert run("unit", python, *arguments) == (0, calls)


@pytest.mark.parametrize(
    ("dev", "qwen", "status"), [(0, 0, 0), (0, 5, 0), (5, 0, 0), (5, 5, 5), (1, 0, 1), (0, 1, 1), (1, 5, 1), (5, 2, 2)]
)
def test_unit_fails_where_an_environment_fails_or_none_selects_a_test(
    python: Path, dev: int, qwen: int, status: int
) -> None:
    assert run("unit", python, STATUS_dev=str(dev), STATUS_qwen=str(qwen))[0] == status


def test_lint_checks_and_with_fix_repairs_first(python: Path) -> None:
    checks = [
        ["dev", "-m", "ruff", "check", "."],
        ["dev", "-m", "ruff", "format", "--check", "."],
        ["dev", "-m", "mypy"],
    ]
    assert run("lint", python) == (0, checks)
    python.with_name("calls").unlink()
    repairs = [["dev", "-m", "ruff", "check", "--fix-only", "."], ["dev", "-m", "ruff", "format", "."]]
    assert run("lint", python, "--fix") == (0, repairs + checks)


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_the_commit_hook_runs_lint_without_network() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["language"], hook["entry"]) == ("local", "system", "scripts/lint")


def test_the_workflow_is_valid_and_runs_what_a_developer_runs() -> None:
    path = ".github/workflows/ci.yaml"
    schema: list[str | Path] = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        ROOT / path,
    ]
    check = subprocess.run(schema, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout
    steps = read(path)["jobs"]["test"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
