"""The stepping thread: the only thread that uses the model."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic

import torch

from adapters.inflight.cuda_streams import is_usable, use_own_stream
from adapters.inflight.scheduler import Scheduler
from adapters.inflight.stream_loop import StreamLoop, StreamT
from adapters.triton.errors import exit_without_gpu, shutting_down
from adapters.triton.lost_gpu import GpuLost


class SteppingThread(Generic[StreamT]):
    """Steps while there is work, and ends all streams when the engine closes.

    If the GPU is lost, which only a new process can use again, the process exits; the supervisor reloads the model.
    """

    def __init__(
        self,
        scheduler: Scheduler[StreamT],
        loop: StreamLoop[StreamT],
        device: torch.device,
        name: str,
        *,
        before_exit: Callable[[], object],
        is_usable: Callable[[torch.device], bool] = is_usable,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        """`before_exit`: sends the last responses."""
        self._scheduler = scheduler
        self._loop = loop
        self._device = device
        self._before_exit = before_exit
        self._is_usable = is_usable
        self._exit_process = exit_process
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Return when the thread has ended; the scheduler must be closed."""
        self._thread.join()

    def _run(self) -> Any:
        use_own_stream(self._device, urgent=True)  # preparing can wait; all streams wait for a step
        faults = 0
        while self._scheduler.wait_for_work():
            try:
                with torch.inference_mode():
                    self._loop.step()
            except Exception as error:
                self._end_all(error)
            if self._loop.faults > faults and not self._is_usable(self._device):
                return self._exit()
            faults = self._loop.faults
        self._end_all(shutting_down())

    def _exit(self) -> None:
        self._end_all(GpuLost())
        self._before_exit()
        exit_without_gpu(self._exit_process)

    def _end_all(self, error: BaseException) -> None:
        for stream in self._scheduler.open_streams():
            try:
                self._loop.fail(stream, error)
            except Exception as second:
                stream.sink.fail(second)
