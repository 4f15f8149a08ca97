"""The GPUs that the models may use, as the driver's `nvidia-smi` reports them."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tritone.served import GpuMemory

T = TypeVar("T")

DEVICES = Path("/dev")
_SHARED_DEVICES = ("nvidiactl", "nvidia-uvm")
"""The devices that every process on a GPU needs besides that of the GPU."""
_FIELDS = "memory.free,compute_cap,name"
_TIMEOUT = 10.0
"""Seconds; a driver that must initialize its GPUs first takes several."""


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine."""

    name: str
    capability: tuple[int, ...]
    """Compute capability: (8, 0) is the first of Ampere."""
    free: float
    """GB of free memory."""

    def __str__(self) -> str:
        return f"{self.name} ({self.free:.1f} GB free)"


def hidden(environ: Mapping[str, str]) -> bool:
    """Return whether CUDA_VISIBLE_DEVICES hides every GPU."""
    return environ.get("CUDA_VISIBLE_DEVICES") is not None and not _chosen(environ)


def present() -> bool:
    """Return whether this machine or container has a GPU device, even one that cannot be queried."""
    return any(DEVICES.glob("nvidia[0-9]*")) or (DEVICES / "dxg").exists()


def closed() -> str | None:
    """Return why this user may not use the GPUs of this machine: a device file, its group, and the remedy.

    None if there is no such file, or if at least one GPU can be opened.
    """
    numbered = sorted(DEVICES.glob("nvidia[0-9]*"))
    needed = [path for name in _SHARED_DEVICES if (path := DEVICES / name).exists()]
    if numbered and not any(map(_can_open, numbered)):
        needed.append(numbered[0])
    for device in needed:
        if not _can_open(device):
            status = device.stat()
            if status.st_mode & stat.S_IRGRP and status.st_mode & stat.S_IWGRP and status.st_gid:
                return (
                    f"{device} may only be opened by the group {_group(status.st_gid)}, and this user is not in it: "
                    f"add the user and log in again (in a container: --group-add {status.st_gid}), or set DEVICE=cpu"
                )
            mode = stat.filemode(status.st_mode)
            return f"{device} may not be opened by this user ({mode}): change its mode, or set DEVICE=cpu"
    return None


def _can_open(device: Path) -> bool:
    return os.access(device, os.R_OK | os.W_OK)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:  # a group of the host, in a container
        return str(number)


def visible(environ: Mapping[str, str]) -> list[Gpu] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves; None if they cannot be queried, such as a slice of a GPU."""
    return _queried(_FIELDS, _gpu, environ)


def memory(environ: Mapping[str, str]) -> list[GpuMemory] | None:
    """Return the memory of the same GPUs, in steps of 0.1 GB; None if they cannot be queried."""
    return _queried("memory.used,memory.total", _memory, environ)


def _queried(fields: str, parse: Callable[[str], T], environ: Mapping[str, str]) -> list[T] | None:
    if hidden(environ):
        return []
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    if chosen := _chosen(environ):
        command.append(f"--id={','.join(chosen)}")
    try:
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, timeout=_TIMEOUT, check=True)
        return [parse(line) for line in done.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _chosen(environ: Mapping[str, str]) -> list[str]:
    """Return the names in CUDA_VISIBLE_DEVICES up to the first invalid one, as CUDA does; [] if it is not set."""
    names: list[str] = []
    for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(","):
        if not name.strip() or name.strip().startswith("-"):
            break
        names.append(name.strip())
    return names


def _gpu(line: str) -> Gpu:
    free, capability, name = (field.strip() for field in line.split(",", 2))
    return Gpu(name, tuple(int(part) for part in capability.split(".")), int(free) / 1024)


def _memory(line: str) -> GpuMemory:
    used, total = (round(int(field) / 1024, 1) for field in line.split(","))
    return GpuMemory(used, total)
