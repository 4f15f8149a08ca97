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

from benchmarks.gpu.listener import ttfa
from benchmarks.gpu.rig import Rig, write
from benchmarks.gpu.steps import Step
from benchmarks.gpu.worker import forget

STREAMS = 16
"""Of each checkpoint."""
_SECONDS = 6
_ROOT = Path(__file__).parents[2]
_CONTROL = "nvidia-cuda-mps-control"


def steps(rig: Rig) -> Iterator[Step]:
    """The same load each time, on processes that have nothing else to do; this one idles meanwhile."""
    pair = [rig.size, "0.6B" if rig.size != "0.6B" else "1.7B"]
    for size in pair:
        write(size, rig.options)
    forget(rig.options.device)
    yield Step("one_alone", 25, lambda: _load(rig, [[rig.size]]))
    yield Step("two_processes", 30, lambda: _load(rig, [[size] for size in pair]))
    yield Step("two_processes_mps", 30, lambda: _with_mps(rig, pair))
    yield Step("one_process", 35, lambda: _load(rig, [pair]))


def _load(rig: Rig, processes: Sequence[Sequence[str]], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Figures of processes, each with engines of these sizes, that speak at the same time."""
    streams, seconds = rig.options.pick(STREAMS, 2), rig.options.pick(_SECONDS, 2)
    with ExitStack() as stack:
        speakers = [
            stack.enter_context(_speaker(rig.options.text, sizes, streams, seconds, environ)) for sizes in processes
        ]
        for speaker in speakers:
            _line(speaker)
        for speaker in speakers:
            print(file=speaker.stdin, flush=True)
        told = [json.loads(_line(speaker)) for speaker in speakers]
    first = [milliseconds / 1e3 for each in told for milliseconds in each["ttfa_ms"]]
    return {
        "streams": streams * sum(map(len, processes)),
        "times_real_time": round(sum(each["audio_seconds"] / each["seconds"] for each in told), 2),
        "of_each": [round(each["audio_seconds"] / each["seconds"], 2) for each in told],
        **ttfa(first, 50, 95),
        "underruns": sum(each["underruns"] for each in told),
        "utterances": len(first),
    }


@contextmanager
def _speaker(
    options: str, sizes: Sequence[str], streams: int, seconds: float, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.gpu.speaker", options, ",".join(sizes), str(streams), str(seconds)]
    process = subprocess.Popen(
        command, cwd=_ROOT, env=dict(environ), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(speaker: subprocess.Popen[str]) -> str:
    assert speaker.stdout is not None
    line = speaker.stdout.readline()
    if not line:
        raise RuntimeError(f"a speaking process ended with status {speaker.wait()}")
    return line


def _with_mps(rig: Rig, pair: Sequence[str]) -> dict[str, Any]:
    """Beside a server of MPS that is ours alone, started and stopped here."""
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
