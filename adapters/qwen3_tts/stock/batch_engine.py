"""The static-batch engine: one thread batches waiting requests with equal sampling options."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.qwen3_tts.request import QwenRequest
from adapters.qwen3_tts.stock.package_runner import PackageRunner, SpeechResult
from adapters.triton.errors import client_left, shutting_down
from adapters.triton.metrics import EngineCounts
from adapters.triton.response_stream import ResponseStream
from adapters.triton.samples import to_int16
from adapters.triton.speech_engine import check_capacity
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription, SpeechOptions
from tritone.errors import Cancelled, DeadlinePassed, Overloaded, TritoneError

_EQUAL_IN_BATCH = (
    "temperature",
    "top_k",
    "top_p",
    "subtalker_temperature",
    "subtalker_top_k",
    "subtalker_top_p",
    "repetition_penalty",
    "seed",
    "streaming_text",
)
"""Options that apply to a whole batch: the package takes one value for all rows."""
_LATE = DeadlinePassed("the request timed out before its first audio")


@dataclass(frozen=True, eq=False)
class _Job:
    """A request, from its submission until its reply has ended."""

    request: QwenRequest
    reply: ResponseStream
    deadline: float
    """The time, by the engine's clock, after which the client has no use for the audio."""


class StaticBatchEngine:
    """Runs requests in batches on its own thread. Audio is sent when the whole batch is complete."""

    def __init__(
        self,
        runner: PackageRunner,
        *,
        max_requests: int,
        max_batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description: SpeechDescription = runner.description
        self._runner = runner
        self._max_requests = max_requests
        self._max_batch = max_batch
        self._clock = clock
        self._waiting: list[_Job] = []  # in order of arrival
        self._running: list[_Job] = []
        self._closing = False
        self._counts = EngineCounts(max_batch, 0, 0)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="qwen3-tts", daemon=True)
        self._thread.start()

    def submit(self, request: SpeechRequest, reply: ResponseStream) -> None:
        """Enqueue a request; raises `InvalidInput` if this checkpoint cannot synthesize it, `Overloaded` when full."""
        job = _Job(self._runner.check(request), reply, self._clock() + request.timeout)
        with self._changed:
            check_capacity(len(self._waiting) + len(self._running), self._max_requests, closing=self._closing)
            self._waiting.append(job)
            self._changed.notify()

    def counts(self) -> EngineCounts:
        """Return the largest batch, and the counts of the batches."""
        return self._counts

    def close(self) -> None:
        """Stop after the current frame. Open requests fail, new ones are rejected."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                break
            self._drop_unwanted()
            if batch := self._take_batch():
                self._run_batch(batch)
                with self._changed:
                    self._running = []
        for job in self._waiting:
            job.reply.fail(shutting_down())

    def _take_batch(self) -> list[_Job]:
        """Take the oldest request and those that can share a batch with it.

        A request with a seed runs alone: the rows of a batch draw from one stream of random numbers.
        """
        with self._changed:
            if self._waiting:
                oldest = self._waiting[0].request.options
                batchable = [job for job in self._waiting if _batch_key(job.request.options) == _batch_key(oldest)]
                self._running = batchable[: self._max_batch if oldest.seed is None else 1]
                self._waiting = [job for job in self._waiting if job not in self._running]
            return self._running

    def _run_batch(self, batch: Sequence[_Job]) -> None:
        for job in batch:
            job.reply.start()
        try:
            results = self._runner.synthesize([job.request for job in batch], lambda: self._unwanted(batch))
        except (Cancelled, Overloaded) as error:
            for job in batch:
                job.reply.fail(self._reason_to_drop(job) or error)
        except Exception as error:
            if len(batch) > 1:  # one request may have caused it, or the batch was too large
                for job in batch:
                    self._run_batch([job])
            else:
                batch[0].reply.fail(error)
        else:
            before = self._counts
            self._counts = EngineCounts(before.slots, before.batches + 1, before.items + len(batch))
            for job, result in zip(batch, results, strict=True):
                self._send_result(job, result)

    def _unwanted(self, batch: Sequence[_Job]) -> list[bool]:
        """Return for each request whether to stop it; raises if all of them stop, or if the engine closes."""
        if self._closing:
            raise shutting_down()
        self._drop_unwanted()
        unwanted = [self._reason_to_drop(job) is not None for job in batch]
        if all(unwanted):
            raise client_left()
        return unwanted

    def _drop_unwanted(self) -> None:
        with self._changed:
            late = Overloaded("timed out waiting for a slot")
            dropped = {job: reason for job in self._waiting if (reason := self._reason_to_drop(job, late))}
            self._waiting = [job for job in self._waiting if job not in dropped]
        for job, reason in dropped.items():
            job.reply.fail(reason)

    def _reason_to_drop(self, job: _Job, late: TritoneError = _LATE) -> TritoneError | None:
        """Return the error of a cancelled request, `late` for a request after its deadline, and None for another."""
        if job.reply.is_cancelled():
            return client_left()
        return late if self._clock() >= job.deadline else None

    def _send_result(self, job: _Job, result: SpeechResult) -> None:
        try:
            if reason := self._reason_to_drop(job):
                raise reason
            audio = to_int16(result.audio)
            for start in range(0, len(audio), SPEECH_RATE):  # one second each, for the gateway to encode meanwhile
                job.reply.audio(audio[start : start + SPEECH_RATE])
            job.reply.finish(result.reason, text_tokens=job.request.text_tokens, audio_frames=result.frames)
        except Exception as error:
            job.reply.fail(error)


def _batch_key(options: SpeechOptions) -> tuple[object, ...]:
    return tuple(getattr(options, name) for name in _EQUAL_IN_BATCH)
