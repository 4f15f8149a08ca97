"""The commands of docs/perf_analyzer.md against a real server, with one request for each concurrent client."""

import subprocess
import sys

import pytest

from tests.e2e.server import ROOT, Server
from tests.pages import blocks

COMMANDS = [line.split()[2:] for line in blocks("docs/perf_analyzer.md", "sh")[0].code.splitlines()]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_perf_analyzer_drives_the_model(server: Server, command: list[str]) -> None:
    clients = command[command.index("--concurrency-range") + 1]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf_analyzer", *command, "-u", server.grpc, "--request-count", clients],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "throughput:" in run.stdout
