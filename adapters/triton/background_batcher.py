"""A thread that works on items in batches, beside the calls that Triton waits for."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Final, Generic, TypeVar

import triton_python_backend_utils as pb_utils

from tritone.errors import Overloaded

MAX_BATCH: Final = 16
"""Items in a batch; Triton's own batches are as large."""
MAX_WAITING: Final = 512
"""Items that may wait: a window of 30 s takes 1.9 MB of shared memory until its response, so these take 1 GB."""

T = TypeVar("T")


class BackgroundBatcher(Generic[T]):
    """Process items in order of arrival. While one batch is processed, the next one collects."""

    def __init__(self, process: Callable[[list[T]], object]) -> None:
        """Start the thread. An exception of `process` is logged, and the thread goes on with the next batch."""
        self._process = process
        self._waiting: Queue[T | None] = Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="background")
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue an item and return at once. Raises `Overloaded` while `MAX_WAITING` wait."""
        try:
            self._waiting.put_nowait(item)
        except Full:
            raise Overloaded(f"at capacity ({MAX_WAITING} windows in the background)") from None

    def close(self) -> None:
        """Return when every queued item is processed."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while len(batch) < MAX_BATCH:
                    batch.append(self._waiting.get_nowait())
            except Empty:
                pass
            if items := [item for item in batch if item is not None]:
                try:
                    self._process(items)
                except Exception:
                    pb_utils.Logger.log_error(
                        f"a background batch of {len(items)} requests failed: {traceback.format_exc()}"
                    )
            if None in batch:
                return
