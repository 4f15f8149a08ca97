"""What a benchmark needs before it starts: weights and environments, fetched and built with their progress."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.e2e.server import ROOT

SERVER = ("supervisor", "gateway", "triton", "windowing")
"""The environments of a server besides those of its models."""


def prepare(*weights: str, environments: tuple[str, ...] = ("kokoro", "whisper")) -> None:
    """Fetch the weights and build the environments that are missing. Raises `SystemExit` if one cannot be had.

    From here on SIGTERM ends the benchmark as Ctrl-C does, and its servers with it.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command = [sys.executable, "-m", "supervisor.environments"]
    fetch = ["supervisor", "-m", "supervisor.weights", *weights]
    for arguments in (["--build", *SERVER, *environments], fetch):
        if status := subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode:
            sys.exit(status)
