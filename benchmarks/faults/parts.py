"""The processes of a running server, and the signals that end or stop them."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import psutil

MODELS = ("kokoro-82m", "whisper-base")


@dataclass(frozen=True)
class Fault:
    """A signal for one part."""

    part: str
    signal: signal.Signals

    def __str__(self) -> str:
        return f"{self.signal.name} {self.part}"


FAULTS = tuple(
    Fault(part, number) for number in (signal.SIGKILL, signal.SIGSTOP) for part in ("gateway", "triton", *MODELS)
)


def parts(supervisor: int) -> dict[str, psutil.Process]:
    """Return the parts of the server by their names: `triton`, `gateway`, and the models."""
    found: dict[str, psutil.Process] = {"supervisor": psutil.Process(supervisor)}
    for process in found["supervisor"].children(recursive=True):
        try:
            command = process.cmdline()
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:  # it ended in the meantime
            continue
        if is_zombie or not command:
            continue
        if command[0].endswith("/tritonserver"):
            found["triton"] = process
        elif command[1:3] == ["-m", "gateway"]:
            found["gateway"] = process
        elif command[0].endswith("triton_python_backend_stub"):
            # A stub that begins or ends may have no arguments.
            arguments = " ".join(command[1:])
            found.update({model: process for model in MODELS if f"/{model}/" in arguments})
    return found


def memory(supervisor: int) -> dict[str, int]:
    """Return the resident memory of each part, in MB."""
    return {name: process.memory_info().rss // 10**6 for name, process in parts(supervisor).items()}
