"""Whisper large-v3-turbo with random weights on CTranslate2: windows of eight callers as a batch, and under a lock.

A process of its own measures each precision, because CTranslate2 looks for cuBLAS where the environment says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu.steps import BenchOptions, Step
from supervisor.environments import Environment

_ROOT = Path(__file__).parents[2]
_PRECISIONS = {"cuda": ("float16", "int8_float16"), "cpu": ("float32", "int8")}
_NEEDED = ("ctranslate2", "faster_whisper", "tokenizers")
_FOLDERS = ("nvidia/cublas/lib", "nvidia/cu13/lib")
"""Where NVIDIA's packages keep cuBLAS 12 and 13, below a folder of packages."""
_SYSTEM = ("/usr/local/cuda-12/lib64", "/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu")


def steps(options: BenchOptions) -> Iterator[Step]:
    """Measure each precision, the default first."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    environment = Environment("whisper")
    python = sys.executable
    if missing and environment.is_complete:
        python, options = str(environment.python), replace(options, site=None)
    elif missing:
        yield Step("skipped", 0, lambda: f"not installed: {', '.join(missing)}")
        return
    for precision in _PRECISIONS[options.device.partition(":")[0]]:
        yield Step(precision, 60, partial(_measure, options, python, precision))


def _measure(options: BenchOptions, python: str, precision: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        environ, cublas = dict(os.environ), "not needed"
        if options.device != "cpu":
            path, cublas = cublas_path(Path(folder))
            environ["LD_LIBRARY_PATH"] = os.pathsep.join([*path, *filter(None, [environ.get("LD_LIBRARY_PATH")])])
        command = [python, "-m", "benchmarks.gpu.whisper_worker", options.text, precision]
        process = subprocess.run(command, cwd=_ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"the process ended with status {process.returncode}; cuBLAS: {cublas}")
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return {"cublas": cublas, **figures}


def cublas_path(links: Path, roots: list[str] | None = None) -> tuple[list[str], str]:
    """Return the folders in which CTranslate2 finds cuBLAS 12, and a description.

    Where only cuBLAS 13 is installed, `links` gets links to it under the names of cuBLAS 12: CTranslate2 opens the
    library at run time, by this name, and calls functions that both versions have with the same arguments.
    """
    if roots is None:
        roots = [*sys.path, *map(str, Environment("cublas").folder.glob("lib/python3*/site-packages"))]
    packages = [Path(root) / folder for root in roots for folder in _FOLDERS]
    folders = [*packages, *map(Path, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)), *map(Path, _SYSTEM)]
    for version in (12, 13):
        for folder in folders:
            found = folder / f"libcublas.so.{version}"
            if not found.exists():
                continue
            if version == 12:
                return [str(folder)], str(found)
            for name in ("libcublas", "libcublasLt"):
                (links / f"{name}.so.12").symlink_to(folder / f"{name}.so.13")
            return [str(links), str(folder)], f"{found} under the name of cuBLAS 12"
    return [], "not found"
