"""A process with the GPU: it runs parts of the benchmark, and reports each figure at once."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu.steps import OTHER_MODELS, BenchOptions, Step

_BROKEN = 75
"""Exit status after an error of the GPU: later figures of this process would be unreliable."""
_LOADING = 150
"""Seconds to load anything. A step hangs after these plus `_PATIENCE` times its own limit."""
_PATIENCE = 3
_MESSAGE, _CALLS = 1500, 6
"""Characters and calls of a reported error."""
_ROOT = Path(__file__).parents[2]


class Worker:
    """Runs tasks: each a part for a size."""

    def __init__(self, options: BenchOptions, descriptor: int) -> None:
        """`descriptor`: a file descriptor, to which every line is written as JSON."""
        self._options = options
        self._descriptor = descriptor

    def run(self, tasks: Sequence[tuple[str, str, float]], until: float) -> None:
        """Run tasks, (part, size, seconds), until a time on the clock of `time.time`.

        What a part leaves of its seconds is for the parts after it. The imports, which may take a minute on a new
        machine, are not counted.
        """
        rig: Any = None
        ends = 0.0
        for part, size, seconds in tasks:
            if part not in OTHER_MODELS and (rig is None or rig.size != size):
                from benchmarks.gpu.rig import Rig  # noqa: PLC0415 - the packages of Qwen3-TTS, which others do without

                rig = None
                free_memory(self._options.device)
                rig = Rig(size, self._options)
            ends = min((ends or time.time()) + seconds, until)
            self._part(part, size, self._options if part in OTHER_MODELS else rig, ends)
            free_memory(self._options.device)

    def _part(self, part: str, size: str, given: Any, until: float) -> None:
        """Run a part; `given` is what its `steps` get."""
        key = {"part": part, "size": size}
        self._report(begun="loading", within=_LOADING, **key)
        try:
            steps = import_module(f"benchmarks.gpu.{part}").steps(given)
            for step in steps:
                if time.time() + step.seconds * (not self._options.quick) > until:
                    self._report(left_out=step.name, **key)
                else:
                    self._step(step, key)
        except Exception as error:
            self._failed(error, key, "loading")
        self._report(done=True, **key)

    def _step(self, step: Step, key: dict[str, str]) -> None:
        self._report(begun=step.name, within=_PATIENCE * step.seconds + _LOADING, **key)
        started = time.perf_counter()
        try:
            figures = step.work()
        except Exception as error:
            self._failed(error, key, step.name)
        else:
            self._report(step=step.name, figures=figures, seconds=round(time.perf_counter() - started, 1), **key)

    def _failed(self, error: Exception, key: dict[str, str], step: str) -> None:
        traceback.print_exc()
        self._report(step=step, error=described(error), **key)
        if self._options.device != "cpu" and not _is_usable(self._options.device):
            os._exit(_BROKEN)

    def _report(self, **message: Any) -> None:
        os.write(self._descriptor, json.dumps(message).encode() + b"\n")


def described(error: BaseException) -> str:
    """Return an error, the errors that it was raised for, and the innermost calls of our own files."""
    lines = []
    cause: BaseException | None = error
    while cause is not None:
        lines.append(f"{type(cause).__name__}: {str(cause).strip()[:_MESSAGE]}")
        calls = [call for call in traceback.extract_tb(cause.__traceback__) if call.filename.startswith(str(_ROOT))]
        lines += [f"  {Path(call.filename).relative_to(_ROOT)}:{call.lineno} {call.line}" for call in calls[-_CALLS:]]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(lines)


def _is_usable(device: str) -> bool:
    """Return False if the GPU is lost for this process: every later call of it would fail."""
    import torch  # noqa: PLC0415

    from adapters.inflight.cuda_streams import is_usable  # noqa: PLC0415

    return is_usable(torch.device(device))


def free_memory(device: str) -> None:
    """Free the memory of objects that are no longer used."""
    gc.collect()
    if device != "cpu":
        import torch  # noqa: PLC0415

        torch.cuda.empty_cache()


def main() -> None:
    """Read options and tasks from the command line, as `benchmarks.gpu.__main__` passes them."""
    from benchmarks.gpu.bare import prepare  # noqa: PLC0415 - before anything that it makes importable
    from benchmarks.gpu.steps import options_from  # noqa: PLC0415

    given, descriptor, tasks, until = sys.argv[1:]
    options = options_from(given)
    prepare(options.site)
    if options.device == "cpu":
        import torch  # noqa: PLC0415

        torch.set_num_threads(1 if options.shapes != "full" else os.cpu_count() or 1)
    Worker(options, int(descriptor)).run(json.loads(tasks), float(until))


if __name__ == "__main__":
    main()
