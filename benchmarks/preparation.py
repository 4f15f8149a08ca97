"""What a benchmark needs before it starts: weights, environments and a server, with their progress."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.server import ROOT, Server, serve

SERVER = ("supervisor", "gateway", "triton", "windowing", "kokoro", "whisper")
"""The environments of a server with Kokoro and Whisper."""


def model_dir() -> Path:
    """Return the folder of the weights."""
    return Path(os.environ.get("MODEL_DIR") or ROOT / "models")


def end_on_sigterm() -> None:
    """From here on SIGTERM ends the benchmark as Ctrl-C does, and its servers with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def prepare(*weights: str, environments: Sequence[str] = SERVER) -> None:
    """Fetch the weights and build the environments that are missing. Raises `SystemExit` if one cannot be had.

    From here on SIGTERM ends the benchmark, as `end_on_sigterm` says.
    """
    end_on_sigterm()
    command = [sys.executable, "-m", "supervisor.environments"]
    steps = [["--build", *environments]]
    if weights:
        steps.append(["supervisor", "-m", "supervisor.weights", *weights])
    for arguments in steps:
        if status := subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode:
            sys.exit(status)


@contextmanager
def prepared_server(*weights: str, **settings: str) -> Iterator[Server]:
    """Prepare these weights, and run a server with these settings until the end of the block."""
    prepare(*weights)
    print("starting a server", flush=True)
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "serve.log", **settings) as server:
        yield server
