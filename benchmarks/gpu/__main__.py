"""`scripts/bench gpu [--minutes 9] [--json FILE] [--only PART...]`: models on a GPU, with random weights.

Runs on a bare machine too: `python3 -m benchmarks.gpu --site FOLDER`, with a Python that has torch. README.md in this
folder explains the measurements. This process needs no torch: worker processes measure, and one that dies is replaced
for the remaining parts.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from benchmarks.gpu.results import Results
from benchmarks.gpu.steps import OTHER_MODELS, BenchOptions

ROOT = Path(__file__).parents[2]
PARTS = (
    "conditions",
    "kernels",
    "correctness",
    "frames",
    "throughput",
    "arrivals",
    "clones",
    "package",
    "whisper",
    "kokoro",
    "sharing",
    "faster",
    "server",
)
"""The most valuable first."""
SECONDS = {
    "conditions": 40,
    "kernels": 60,
    "correctness": 240,
    "frames": 120,
    "throughput": 70,
    "arrivals": 160,
    "clones": 120,
    "package": 90,
    "whisper": 150,
    "kokoro": 240,
    "sharing": 150,
    "faster": 60,
    "server": 240,
}
"""Limit for a part of one size. Steps beyond it are left out."""
_ONCE = {"conditions", "clones", "sharing", "faster", "server", *OTHER_MODELS}
"""Parts that are measured with the first size only."""
_GRACE, _STOPPING = 15, 5
"""Grace period of a step when the time is over, and of a process that has no more tasks."""
_MEMORY_DISK = Path("/dev/shm")
_ROOM = 20 << 30
"""Bytes of the full checkpoints."""

_WORKER = (sys.executable, "-m", "benchmarks.gpu.worker")

Task = tuple[str, str]


def tasks(sizes: Sequence[str], only: Sequence[str]) -> list[Task]:
    """Return (part, size) pairs: all parts of the first size, then the others."""
    wanted = [part for part in PARTS if not only or part in only]
    return [(part, size) for size in sizes for part in wanted if size == sizes[0] or part not in _ONCE]


class GpuRun:
    """Runs tasks in worker processes until the time is over."""

    def __init__(self, options: BenchOptions, results: Results, until: float, worker: Sequence[str] = _WORKER) -> None:
        """`until` on the clock of `time.time`; `worker`: a command with the protocol of `benchmarks.gpu.worker`."""
        self._worker = worker
        self._options = options
        self._results = results
        self._until = until
        self._now = "", "", ""
        self._hangs_at = until
        """The time after which the current step counts as hanging."""

    def all(self, left: list[Task]) -> None:
        """Run the tasks, in their order."""
        while left:
            if time.time() + 5 > self._until:
                for part, size in left:
                    self._results.leave_out(part, size)
                return
            for part, size in self._process(left):
                left.remove((part, size))

    def _process(self, left: Sequence[Task]) -> Iterator[Task]:
        """Start a worker on the tasks. Yield the tasks that it has done, and the one during which it died."""
        reading, writing = os.pipe()
        tasks = [(part, size, SECONDS[part]) for part, size in left]
        self._hangs_at = self._until
        process = subprocess.Popen(
            [*self._worker, self._options.text, str(writing), json.dumps(tasks), str(self._until)],
            cwd=ROOT,
            pass_fds=[writing],
        )
        os.close(writing)
        done: list[Task] = []
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            for line in self._lines(pipe):
                if finished := self._handle(json.loads(line)):
                    done.append(finished)
        try:
            status = process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        yield from done
        part, size, step = self._now
        if status and (part, size) in left and (part, size) not in done:
            self._results.fail(part, size, step, f"the process ended with status {status}")
            yield part, size
        elif status and not done:
            raise SystemExit(f"the worker could not be started: status {status}")

    def _handle(self, message: dict[str, object]) -> Task | None:
        part, size = str(message["part"]), str(message["size"])
        where = f"{self._until - time.time():5.0f} s left  {size} {part}"
        if message.get("done"):
            return part, size
        if "begun" in message:
            self._now = part, size, str(message["begun"])
            if not self._options.quick:
                self._hangs_at = time.time() + float(str(message["within"]))
            print(f"{where}: {message['begun']}", flush=True)
        elif "left_out" in message:
            self._results.leave_out(part, size, str(message["left_out"]))
        elif "error" in message:
            self._results.fail(part, size, str(message["step"]), str(message["error"]))
        else:
            self._results.add(part, size, str(message["step"]), message["figures"])
            print(
                f"{where}: {message['step']} ({message['seconds']} s): {json.dumps(message['figures'])[:400]}",
                flush=True,
            )
        return None

    def _lines(self, pipe: BinaryIO) -> Iterator[bytes]:
        """Yield the lines of a worker, until it ends or is late."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while (left := min(self._hangs_at, self._until + _GRACE) - time.time()) > 0:
                if selector.select(left):
                    read = os.read(pipe.fileno(), 1 << 16)
                    if not read:
                        return
                    *lines, rest = (rest + read).split(b"\n")
                    yield from lines


def main() -> None:
    """Run, and write the results."""
    parser = argparse.ArgumentParser(prog="scripts/bench gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9, help="after which it stops, with what it has")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    parser.add_argument("--sizes", default="1.7B,0.6B", help="the first is measured first, and most fully")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), help="bfloat16 on a GPU, else float32")
    parser.add_argument("--size", default="full", choices=("full", "thin", "tiny"), help="of the random weights")
    parser.add_argument("--quick", action="store_true", help="a rehearsal: few streams, few rounds")
    parser.add_argument("--folder", type=Path, help="for the checkpoints, which stay there; else a temporary one")
    parser.add_argument("--site", type=Path, help="carried packages, which come before the Python's own")
    parser.add_argument("--faster-site", type=Path, help="the packages of faster-qwen3-tts")
    parser.add_argument("--wheels", type=Path, help="measure nothing: download what is to be carried into this folder")
    parser.add_argument("--python-version", default="3.12", help="of the machine that the wheels are for")
    arguments = parser.parse_args()
    if arguments.wheels:
        from benchmarks.gpu.wheels import download  # noqa: PLC0415

        download(arguments.wheels, arguments.python_version)
        return
    if arguments.site:
        sys.path.insert(0, str(arguments.site))  # its packages then appear in the results' machine
    started = time.time()
    with tempfile.TemporaryDirectory(dir=_roomy(arguments.size)) as temporary:
        options = BenchOptions(
            device=arguments.device,
            dtype=arguments.dtype or ("float32" if arguments.device == "cpu" else "bfloat16"),
            shapes=arguments.size,
            quick=arguments.quick,
            folder=(arguments.folder or Path(temporary)).resolve(),
            out=arguments.json.resolve(),
            site=arguments.site and arguments.site.resolve(),
            faster_site=arguments.faster_site and arguments.faster_site.resolve(),
        )
        sizes = arguments.sizes.split(",")
        run = {"weights": f"random, {arguments.size}", "quick": arguments.quick, "device": arguments.device}
        results = Results(options.out, {**run, "sizes": sizes})
        GpuRun(options, results, started + 60 * arguments.minutes).all(tasks(sizes, arguments.only))
    results.finish(time.time() - started)
    subprocess.run([sys.executable, "-m", "benchmarks.gpu.plots", options.out], cwd=ROOT, check=False)
    print(f"written: {options.out}")
    if results.content["valid"] is None:
        print("the results of the models were not checked: part `correctness` is missing")
    if results.content["valid"] is False:
        raise SystemExit("a result is wrong (see `correctness`): no figure of this run is worth anything")


def _roomy(shapes: str) -> Path | None:
    """Return the folder for checkpoints: in memory if there is room; None: the usual one for temporary files."""
    there = shapes == "full" and _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > _ROOM
    return _MEMORY_DISK if there else None


if __name__ == "__main__":
    main()
