"""Both commands of docs/perf_analyzer.md run against the real server."""

import subprocess
import sys

import pytest

from tests.e2e.server import ROOT, Server


@pytest.mark.parametrize("kind", ["speech", "transcription"])
def test_perf_analyzer_drives_the_model(server: Server, kind: str) -> None:
    options = ["-u", server.grpc, "--request-count", "4", "--concurrency-range", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf_analyzer", kind, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Concurrency: 2, throughput:" in run.stdout
