"""The GPUs that the models may use, as the driver's `nvidia-smi` describes them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FIELDS = "memory.free,compute_cap,name"
_PATIENCE = 10.0
"""Seconds; a driver that has to wake its GPUs takes some."""


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    capability: tuple[int, ...]
    """Compute capability: (8, 0) is Ampere's first."""
    free: float
    """GB of memory that nobody uses."""

    def __str__(self) -> str:
        return f"{self.name} ({self.free:.1f} GB free)"


def hidden(environ: Mapping[str, str]) -> bool:
    """Whether CUDA_VISIBLE_DEVICES leaves no GPU to see."""
    return environ.get("CUDA_VISIBLE_DEVICES") is not None and not _chosen(environ)


def present() -> bool:
    """Whether this machine or container was given a GPU, whatever can be told of it."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()


def visible(environ: Mapping[str, str]) -> list[Gpu] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves; None where that cannot be told, as for a slice of one."""
    if hidden(environ):
        return []
    command = ["nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    if chosen := _chosen(environ):
        command.append(f"--id={','.join(chosen)}")
    try:
        asked = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
        return [_gpu(line) for line in asked.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _chosen(environ: Mapping[str, str]) -> list[str]:
    """What CUDA_VISIBLE_DEVICES names, up to the first that is none, as CUDA reads it; [] also where it is not set."""
    names: list[str] = []
    for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(","):
        if not name.strip() or name.strip().startswith("-"):
            break
        names.append(name.strip())
    return names


def _gpu(line: str) -> Gpu:
    free, capability, name = (field.strip() for field in line.split(",", 2))
    return Gpu(name, tuple(int(part) for part in capability.split(".")), int(free) / 1024)
