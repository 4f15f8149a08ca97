"""A transcription model inside Triton: requests in, transcripts out, a batch at a time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import triton_python_backend_utils as pb_utils

from adapters.triton.background_batcher import MAX_BATCH, BackgroundBatcher
from adapters.triton.errors import exit_without_gpu
from adapters.triton.instance import Instance
from adapters.triton.lost_gpu import GpuLost
from adapters.triton.metrics import EngineCounts, Metrics
from adapters.triton.responses import response_of, send_error, send_final
from adapters.triton.speech_request import timeout_of
from adapters.triton.transcriber import Transcriber, WindowRequest
from adapters.triton.waiting import Wait
from adapters.triton.window_reader import read_window, transcription_options
from tritone.contract import TranscriptionDescription
from tritone.errors import Cancelled, Overloaded, TritoneError
from tritone.initialized import mark_initialized
from tritone.transcript import Transcript
from tritone.word_times import ordered_times

Outcome = Transcript | Exception


@dataclass(frozen=True, eq=False)
class _PendingWindow:
    """A window, and the request that it came in."""

    request: Any
    window: WindowRequest
    wait: Wait
    deadline: float
    """The time, by `time.monotonic`, after which the client has no use for the transcript."""


class TranscriptionModel(ABC):
    """Base of a transcription adapter's `TritonPythonModel`.

    Triton's batcher passes windows of different clients to one `execute`. A request that is invalid, cancelled or fails
    gets its own error, and the others of its batch get their transcripts.

    A batch cannot be interrupted, and a batch of a long recording takes many times as long as that of a short one. So
    `execute` leaves windows with the option `background` to another thread, where they form batches of their own and
    delay no other request.
    """

    @abstractmethod
    def load(self, instance: Instance) -> Transcriber:
        """Load the checkpoint; an exception makes Triton refuse to load the model, with the exception's message."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model; Triton calls this once an instance."""
        instance = Instance.from_args(args)
        self._transcriber = self.load(instance)
        self._metrics = Metrics(instance.model, "transcription")
        self._metrics.watch(lambda: EngineCounts(MAX_BATCH, 0, 0))
        self._parts = ThreadPoolExecutor(self._transcriber.parallel_calls, "part")
        self._background = BackgroundBatcher(self._process)
        mark_initialized()

    def execute(self, requests: Sequence[Any]) -> None:
        """Process a batch; each response leaves by its request's sender as soon as it is there."""
        pending = [each for request in requests if (each := self._read(request))]
        urgent = []
        for each in pending:
            if each.window.options.background:
                self._leave_to_background(each)
            else:
                urgent.append(each)
        count = self._transcriber.parallel_calls
        list(self._parts.map(self._process, filter(None, (urgent[first::count] for first in range(count)))))

    def finalize(self) -> None:
        """Stop the threads; Triton calls this when no request is open any more."""
        self._background.close()
        self._parts.shutdown()
        self._metrics.close()

    def _read(self, request: Any) -> _PendingWindow | None:
        """Return the request's window. None: the request has had its response, a description or an error."""
        try:
            options = transcription_options(request)
            if options.describe:
                self._respond(request, self._transcriber.description)
                return None
            window = read_window(request, options, self._transcriber.description, self._transcriber.check)
        except Exception as error:
            self._respond(request, error)
            return None
        wait = Wait(self._metrics, time.monotonic)
        self._metrics.begin()
        wait.begin()
        return _PendingWindow(request, window, wait, deadline=wait.arrived + timeout_of(request))

    def _leave_to_background(self, pending: _PendingWindow) -> None:
        try:
            self._background.put(pending)
        except Overloaded as error:
            self._reject(pending, error)

    def _reject(self, pending: _PendingWindow, error: TritoneError) -> None:
        """Send the error of a request; its window is not transcribed."""
        pending.wait.end()
        self._respond(pending.request, error)
        self._metrics.end()

    def _process(self, pending: Sequence[_PendingWindow]) -> None:
        """Transcribe the windows that are still wanted as one batch, and respond to each request.

        A window is not wanted any more if its request is cancelled, or its deadline has passed.
        """
        wanted = []
        for each in pending:
            if each.request.is_cancelled():
                self._reject(each, Cancelled("cancelled before the work began"))
            elif time.monotonic() >= each.deadline:
                self._reject(each, Overloaded("timed out waiting for a slot"))
            else:
                each.wait.start()
                wanted.append(each)
        outcomes = self._transcribe([each.window for each in wanted])
        for each, outcome in zip(wanted, outcomes, strict=True):
            self._respond(each.request, outcome)
            self._metrics.end()
        if any(isinstance(outcome, GpuLost) for outcome in outcomes):
            exit_without_gpu()

    def _transcribe(self, windows: Sequence[WindowRequest]) -> list[Outcome]:
        """Return the windows' outcomes; where the batch as a whole fails, each window is tried alone."""
        if not windows:
            return []
        began = time.monotonic()
        try:
            transcripts = [
                replace(transcript, segments=ordered_times(transcript.segments, window.seconds))
                for window, transcript in zip(windows, self._transcriber.transcribe(windows), strict=True)
            ]
        except GpuLost as error:
            pb_utils.Logger.log_error(f"a batch of {len(windows)} failed: {error.__cause__!r}")
            return [error] * len(windows)
        except Exception as error:
            if len(windows) == 1:
                return [error]
            pb_utils.Logger.log_warn(f"a batch of {len(windows)} failed ({error!r}); retrying its windows one by one")
            return [outcome for window in windows for outcome in self._transcribe([window])]
        self._metrics.batch(len(windows))
        for window, transcript in zip(windows, transcripts, strict=True):
            self._metrics.audio(window.seconds)
            self._metrics.tokens(transcript.token_count)
            if window.seconds:
                self._metrics.real_time_factor((time.monotonic() - began) / window.seconds)
        return list(transcripts)

    def _respond(self, request: Any, outcome: Outcome | TranscriptionDescription) -> None:
        """Send the one response of a request. Never raises."""
        sender, request_id = request.get_response_sender(), request.request_id()
        try:
            if isinstance(outcome, Exception):
                raise outcome
            send_final(sender, response_of(_columns(outcome)), request_id)
        except Exception as error:
            self._metrics.error(error)
            send_error(sender, error, request_id)


def _columns(outcome: Transcript | TranscriptionDescription) -> Mapping[str, Any]:
    """Return the output tensors, each a row of a batch: shape [1, n]."""
    if isinstance(outcome, Transcript):
        return outcome.to_columns()
    return {"description": [[outcome.to_json().encode()]]}
