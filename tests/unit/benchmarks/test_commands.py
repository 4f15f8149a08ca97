"""The benchmarks that need no server, as `scripts/bench` runs them, in their smallest size."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import ROOT

ENGINES = {"engine": "codes_equal", "f5": "largest_difference", "omni": "tokens_equal", "finetune": "speedup"}
"""Benchmarks on random checkpoints, and a figure of each. They fail if the engine does not compute what it should."""


def bench(name: str, written: Path, *options: str) -> dict[str, Any]:
    command: list[str | Path] = [ROOT / "scripts" / "bench", name, *options, "--json", written]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures: dict[str, Any] = json.loads(written.read_text())
    assert figures["machine"]["packages"]
    return figures


@pytest.mark.parametrize(("name", "figure"), ENGINES.items())
def test_an_engine_is_compared_with_its_package(name: str, figure: str, tmp_path: Path) -> None:
    assert figure in bench(name, tmp_path / "figures.json", "--quick")["tiny"]


def test_clones_are_compared_with_built_in_voices(tmp_path: Path) -> None:
    figures = bench("clones", tmp_path / "figures.json", "--quick")
    assert "recordings of 3 s" in figures


def test_capacity_is_simulated(tmp_path: Path) -> None:
    figures = bench("capacity", tmp_path / "figures.json", "--quick", "--no-check")
    assert figures["gpus"]
    assert figures["to_zero"]


def test_no_message_is_lost_with_its_worker(tmp_path: Path) -> None:
    figures = bench("queues", tmp_path / "figures.json", "--kills", "1", "--jobs", "4")
    assert (figures["kills"], figures["lost"], figures["problems"]) == (1, 0, 0)
