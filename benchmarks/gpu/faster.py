"""faster-qwen3-tts, one stream, with the same weights and number of frames, in a process with its own packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step

_ROOT = Path(__file__).parents[2]


def steps(rig: Rig) -> Iterator[Step]:
    """Measure its highest speed, and its shortest time to first audio."""
    yield Step("1", 50, lambda: _measure(rig))


def _measure(rig: Rig) -> dict[str, Any]:
    options = rig.options
    if options.faster_site is None:
        return {"skipped": "no --faster-site was given"}
    if rig.device.type == "cpu":
        return {"skipped": "it needs a GPU"}
    command = [sys.executable, "-m", "benchmarks.gpu.faster_worker", options.text, str(rig.checkpoint.folder)]
    process = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return figures
