"""One process with the GPU: it works off parts of the benchmark, and tells each figure as soon as it has it."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.gpu.steps import Options, Step

_BROKEN = 75
"""The exit status after an error of the GPU: nothing that this process says of it afterwards can be believed."""
_LOADING = 150
"""Seconds in which anything is loaded; after them, or after `_PATIENCE` times what a step may take, it hangs."""
_PATIENCE = 3


class Worker:
    """Works off tasks, each a part for a size."""

    def __init__(self, options: Options, tell: int) -> None:
        """`tell`: a file descriptor; every line that is written to it is JSON."""
        self._options = options
        self._tell = tell

    def run(self, tasks: Sequence[tuple[str, str, float]]) -> None:
        """Tasks are (part, size, when it is to be over as `time.time` counts)."""
        from benchmarks.gpu.rig import Rig  # noqa: PLC0415 - torch, which the parent does without

        rig: Rig | None = None
        for part, size, until in tasks:
            if rig is None or rig.size != size:
                rig = None
                forget(self._options.device)
                rig = Rig(size, self._options)
            self._part(part, rig, until)
            forget(self._options.device)

    def _part(self, part: str, rig: Any, until: float) -> None:
        key = {"part": part, "size": rig.size}
        self._say(begun="loading", within=_LOADING, **key)
        try:
            steps = import_module(f"benchmarks.gpu.{part}").steps(rig)
            for step in steps:
                if time.time() + step.seconds * (not self._options.quick) > until:
                    self._say(left_out=step.name, **key)
                else:
                    self._step(step, key)
        except Exception as error:
            self._failed(error, key, "loading")
        self._say(done=True, **key)

    def _step(self, step: Step, key: dict[str, str]) -> None:
        self._say(begun=step.name, within=_PATIENCE * step.seconds + _LOADING, **key)
        started = time.perf_counter()
        try:
            figures = step.work()
        except Exception as error:
            self._failed(error, key, step.name)
        else:
            self._say(step=step.name, figures=figures, seconds=round(time.perf_counter() - started, 1), **key)

    def _failed(self, error: Exception, key: dict[str, str], step: str) -> None:
        traceback.print_exc()
        self._say(step=step, error=f"{type(error).__name__}: {error}"[:2000], **key)
        if _is_broken(error):
            os._exit(_BROKEN)

    def _say(self, **told: Any) -> None:
        os.write(self._tell, json.dumps(told).encode() + b"\n")


def _is_broken(error: BaseException) -> bool:
    """Whether the GPU's context is lost with it."""
    words = str(error)
    return "CUDA error" in words or "device-side assert" in words or "illegal memory" in words


def forget(device: str) -> None:
    """Give back the memory of what is no longer used."""
    gc.collect()
    if device != "cpu":
        import torch  # noqa: PLC0415

        torch.cuda.empty_cache()


def main() -> None:
    """Read options and tasks from the command line, as `benchmarks.gpu.__main__` gives them."""
    from benchmarks.gpu.bare import prepare  # noqa: PLC0415 - before anything that it makes importable
    from benchmarks.gpu.steps import options_from  # noqa: PLC0415

    told, descriptor, tasks = sys.argv[1:]
    options = options_from(told)
    prepare(options.site)
    if options.device == "cpu":
        import torch  # noqa: PLC0415

        torch.set_num_threads(1 if options.shapes != "full" else os.cpu_count() or 1)
    Worker(options, int(descriptor)).run(json.loads(tasks))


if __name__ == "__main__":
    main()
