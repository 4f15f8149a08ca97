"""The life of an engine: its threads, from the first request to the last response."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Generic

import torch

from adapters.inflight.cuda_streams import is_usable, synchronize_stream, use_own_stream
from adapters.inflight.scheduler import Load, Scheduler
from adapters.inflight.sending import SendingThread
from adapters.inflight.stepping import SteppingThread
from adapters.inflight.stream_loop import StreamLoop, StreamT
from adapters.triton.metrics import EngineCounts


class StreamEngine(Generic[StreamT]):
    """An engine whose streams join and leave between steps; one thread steps, one sends responses.

    A family's engine gives it the loop of its model, and accepts requests: it enqueues a stream, whose sink calls
    `self._sender.enqueue`.
    """

    def __init__(
        self,
        scheduler: Scheduler[StreamT],
        loop: StreamLoop[StreamT],
        device: torch.device,
        name: str,
        *,
        is_usable: Callable[[torch.device], bool] = is_usable,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        """Start the threads, whose names begin with `name`: the subclass must be complete. `device`: of the model."""
        self._scheduler = scheduler
        self._loop = loop
        self._device = device
        self._sender = SendingThread(scheduler.wake, f"{name}-sender")
        self._stepping = SteppingThread(
            scheduler,
            loop,
            device,
            f"{name}-stepping",
            before_exit=self._sender.close,
            is_usable=is_usable,
            exit_process=exit_process,
        )

    def counts(self) -> EngineCounts:
        """Return the slots and the counts of the batches."""
        return self._loop.counts()

    def load(self) -> Load:
        """Return the present load."""
        return self._scheduler.load()

    def close(self) -> None:
        """Stop after the current step. Open requests fail, new ones are rejected."""
        self._scheduler.close()
        self._end_preparing()
        self._stepping.join()
        self._end_decoding()
        self._sender.close()

    def _end_preparing(self) -> None:
        """Stop the threads that prepare streams; the scheduler is closed."""

    def _end_decoding(self) -> None:
        """Complete the results of the streams that ended in the last step."""


class PreparingEngine(StreamEngine[StreamT]):
    """An engine with a thread that prepares streams in the order in which they will get a slot."""

    def __init__(
        self, scheduler: Scheduler[StreamT], loop: StreamLoop[StreamT], device: torch.device, name: str
    ) -> None:
        """Start the threads, as `StreamEngine`."""
        super().__init__(scheduler, loop, device, name)
        self._preparing = threading.Thread(target=self._prepare_all, name=f"{name}-preparing", daemon=True)
        self._preparing.start()

    def _prepare(self, stream: StreamT) -> None:
        """Compute the input of a stream; an error ends it. For the preparing thread, which has a stream on the GPU."""
        raise NotImplementedError

    def _end_preparing(self) -> None:
        self._preparing.join()

    def _prepare_all(self) -> None:
        use_own_stream(self._device)
        with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
            while self._prepare_next():
                pass

    def _prepare_next(self) -> bool:
        """Prepare one stream; return False once the engine closes. On its own, so that no variable keeps a stream."""
        stream = self._scheduler.wait_for_input(self._scheduler.slots)  # at most one for each slot ahead
        if stream is None:
            return False
        try:
            with torch.inference_mode():
                self._prepare(stream)
            synchronize_stream(self._device)
            self._scheduler.mark_prepared(stream)
        except Exception as error:
            self._scheduler.mark_failed(stream, error)
        return True
