"""Threads for work that takes CPU time, apart for each kind of work, so that none waits for another."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class Workers:
    """The thread pools of a gateway; the event loop's default pool is left to short work, such as parsing JSON."""

    def __init__(self) -> None:
        # PyAV, NumPy and onnxruntime release Python's lock: more threads than cores would only share them.
        threads = max(2, len(os.sched_getaffinity(0)))
        self.decoding = ThreadPoolExecutor(threads, "decoding")
        """Decodes recordings and finds the speech in them, a little of each at a time."""
        self.live = ThreadPoolExecutor(threads, "live")
        """Decodes the audio of live sessions and finds the turns in it."""
        self.encoding = ThreadPoolExecutor(threads, "encoding")
        """Encodes speech."""
        self.voices = ThreadPoolExecutor(threads, "voices")
        """Decodes reference recordings, and computes the embeddings of speakers."""

    def close(self) -> None:
        """Let the threads end after the work that they have begun."""
        for pool in (self.decoding, self.live, self.encoding, self.voices):
            pool.shutdown(wait=False, cancel_futures=True)


async def run_in(
    pool: Executor, work: Callable[_Parameters, _Result], *args: _Parameters.args, **options: _Parameters.kwargs
) -> _Result:
    """Return the result of `work` in a thread of `pool`."""
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: work(*args, **options))
