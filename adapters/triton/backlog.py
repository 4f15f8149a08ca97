"""Work that may wait: a thread of its own, beside the calls that Triton waits for."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

import triton_python_backend_utils as pb_utils

MOST: Final = 16
"""Taken at a time; Triton's own batches are as large."""

T = TypeVar("T")


class Backlog(Generic[T]):
    """What was put in, worked off in order: whatever has come by the time that the last batch is done is the next."""

    def __init__(self, work: Callable[[list[T]], object]) -> None:
        """`work` answers what it is given, whatever happens; should it raise, that is logged, and the next is taken."""
        self._work = work
        self._waiting: SimpleQueue[T | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="backlog")
        self._thread.start()

    def put(self, items: Iterable[T]) -> None:
        """Have `items` worked on later."""
        for item in items:
            self._waiting.put(item)

    def close(self) -> None:
        """Return when all that was put in is done."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while len(batch) < MOST:
                    batch.append(self._waiting.get_nowait())
            except Empty:
                pass
            if items := [item for item in batch if item is not None]:
                try:
                    self._work(items)
                except Exception:
                    pb_utils.Logger.log_error(f"{len(items)} that waited were lost: {traceback.format_exc()}")
            if None in batch:
                return
