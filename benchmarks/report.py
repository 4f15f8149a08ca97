"""The JSON file of a benchmark: its figures, the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

SPEECH = ("ctranslate2", "faster-whisper", "onnxruntime", "torch", "transformers", "qwen-tts")
PACKAGES = (*SPEECH, "triton", "numpy", "grpcio", "fastapi", "av")
"""Packages whose versions are reported if they are installed."""


def machine() -> dict[str, Any]:
    """Return the hardware, the software and the commit."""
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": _packages(),
        "commit": _commit(),
    }


def _packages() -> dict[str, str]:
    """Return the version of each package; the first folder on the path counts, as in an import."""
    versions: dict[str, str] = {}
    for each in distributions():
        if each.name in PACKAGES:
            versions.setdefault(each.name, each.version)
    return versions


def _commit() -> str | None:
    """Return the commit; None outside a clone, or without git."""
    try:
        command = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return command.stdout.strip()


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the count of durations, in milliseconds."""
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"p50_ms": round(1e3 * float(p50), 2), "p99_ms": round(1e3 * float(p99), 2), "n": len(seconds)}


def write(path: Path, figures: dict[str, Any]) -> None:
    """Write the figures as JSON, after the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
    print(f"written: {path}")
