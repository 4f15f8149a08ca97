"""Each benchmark is named where people look for it, and gets what it needs before it starts."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks import preparation
from tests.e2e.server import ROOT

RECORDER = """#!/bin/sh
{python} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@" >> {calls}
case "$*" in *unreachable*) exit 3 ;; esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each call of Python, whose program only writes its arguments down."""
    program, calls = tmp_path / "python", tmp_path / "calls"
    program.write_text(RECORDER.format(python=sys.executable, calls=calls))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return calls


def names(path: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE))


def test_the_script_and_the_pages_name_every_benchmark() -> None:
    usage = re.search(r"# scripts/bench NAME \[options\]: (.*)", (ROOT / "scripts" / "bench").read_text())
    assert usage
    known = set(usage[1].split(" | "))
    modules = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()]
    packages = [path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")]
    commands = {*modules, *packages}
    assert commands == known
    assert names("benchmarks/README.md", r"^\| `(\w+)`") == known
    assert names("README.md", r"^\| `scripts/bench (\w+)`") == known


def test_a_benchmark_builds_and_fetches_what_it_needs(calls: Path) -> None:
    preparation.prepare("whisper-base", "test-recordings")
    build, fetch = [json.loads(line) for line in calls.read_text().splitlines()]
    assert build[:3] == ["-m", "supervisor.environments", "--build"]
    assert {"gateway", "triton", "whisper"} <= set(build)
    assert fetch[2:] == ["supervisor", "-m", "supervisor.weights", "whisper-base", "test-recordings"]


def test_a_benchmark_ends_where_something_that_it_needs_cannot_be_had(calls: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        preparation.prepare("unreachable")
    assert ended.value.code == 3
