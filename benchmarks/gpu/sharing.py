"""Two checkpoints on one GPU: processes that take turns, processes side by side (MPS), and one process with both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu.playback import milliseconds
from benchmarks.gpu.rig import Rig, write
from benchmarks.gpu.steps import Step
from benchmarks.gpu.worker import free_memory

STREAMS = 16
"""Streams of each checkpoint."""
_SECONDS = 6
_ROOT = Path(__file__).parents[2]
_CONTROL = "nvidia-cuda-mps-control"


def steps(rig: Rig) -> Iterator[Step]:
    """Measure the same load each time, in worker processes; this process idles meanwhile."""
    pair = [rig.size, "0.6B" if rig.size != "0.6B" else "1.7B"]
    for size in pair:
        write(size, rig.options)
    free_memory(rig.options.device)
    yield Step("one_alone", 25, lambda: _load(rig, [[rig.size]]))
    yield Step("two_processes", 30, lambda: _load(rig, [[size] for size in pair]))
    yield Step("two_processes_mps", 30, lambda: _with_mps(rig, pair))
    yield Step("one_process", 35, lambda: _load(rig, [pair]))


def _load(rig: Rig, processes: Sequence[Sequence[str]], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Measure processes that run at the same time, each with engines of these sizes."""
    streams, seconds = rig.options.pick(STREAMS, 2), rig.options.pick(_SECONDS, 2)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(rig.options.text, sizes, streams, seconds, environ)) for sizes in processes
        ]
        for worker in workers:
            _line(worker)
        for worker in workers:
            print(file=worker.stdin, flush=True)
        figures = [json.loads(_line(worker)) for worker in workers]
    first = [each_ms / 1e3 for each in figures for each_ms in each["ttfa_ms"]]
    return {
        "streams": streams * sum(map(len, processes)),
        "times_real_time": round(sum(each["audio_seconds"] / each["seconds"] for each in figures), 2),
        "of_each": [round(each["audio_seconds"] / each["seconds"], 2) for each in figures],
        **milliseconds("ttfa", first, 50, 95),
        "underruns": sum(each["underruns"] for each in figures),
        "utterances": len(first),
    }


@contextmanager
def _worker(
    options: str, sizes: Sequence[str], streams: int, seconds: float, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.gpu.load_worker", options, ",".join(sizes), str(streams), str(seconds)]
    process = subprocess.Popen(
        command, cwd=_ROOT, env=dict(environ), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"a worker process ended with status {worker.wait()}")
    return line


def _with_mps(rig: Rig, pair: Sequence[str]) -> dict[str, Any]:
    """Measure with an MPS server that is started and stopped here."""
    if rig.device.type == "cpu" or shutil.which(_CONTROL) is None:
        return {"skipped": f"there is no {_CONTROL}"}
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        started = subprocess.run([_CONTROL, "-d"], env=environ, capture_output=True, text=True, check=False)
        if started.returncode:
            return {"skipped": f"{_CONTROL} cannot be started: {(started.stderr or started.stdout).strip()[:300]}"}
        try:
            return _load(rig, [[size] for size in pair], environ)
        finally:
            subprocess.run([_CONTROL], env=environ, input="quit\n", text=True, capture_output=True, check=False)
