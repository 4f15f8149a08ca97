"""The Python backend's side of every transcription model: requests in, transcripts out, a batch at a time."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import triton_python_backend_utils as pb_utils

from adapters.triton.backlog import Backlog
from adapters.triton.errors import to_triton
from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics
from adapters.triton.window import Transcriber, Window
from tritone.contract import TranscriptionOptions
from tritone.errors import Cancelled, InvalidInput
from tritone.transcript import Transcript

Outcome = Transcript | Exception


@dataclass(frozen=True, eq=False)
class _Asked:
    """A window, and the request that it came in."""

    request: Any
    window: Window


class TranscriptionModel(ABC):
    """Base of a transcription adapter's `TritonPythonModel`.

    Triton's batcher hands windows of different callers to one `execute`; a request that is wrong, cancelled or fails is
    answered with its own error, and its neighbours with their transcripts.

    A batch cannot be interrupted, and one of a long recording takes many times as long as a short one's. So `execute`
    leaves the windows that may wait to a thread beside it: they batch with each other there, and nobody waits for them.
    """

    @abstractmethod
    def load(self, instance: Instance) -> Transcriber:
        """Load the checkpoint; an exception makes Triton refuse to load the model, with the message."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Called by Triton once an instance."""
        instance = Instance.from_args(args)
        self._transcriber = self.load(instance)
        self._metrics = Metrics(instance.model)
        self._streams = ThreadPoolExecutor(self._transcriber.streams, "stream")
        self._backlog = Backlog(self._hear)

    def execute(self, requests: Sequence[Any]) -> None:
        """Called by Triton for each batch; each answer leaves by its request's sender as soon as it is there."""
        asked = [each for request in requests if (each := self._read(request))]
        self._backlog.put(each for each in asked if each.window.options.background)
        urgent = [each for each in asked if not each.window.options.background]
        streams = self._transcriber.streams
        parts = [part for stream in range(streams) if (part := urgent[stream::streams])]
        list(self._streams.map(self._hear, parts))

    def finalize(self) -> None:
        """Called by Triton when the model is unloaded, which has no request open then."""
        self._backlog.close()
        self._streams.shutdown()
        self._metrics.close()

    def _read(self, request: Any) -> _Asked | None:
        """The request's window; where there is none, the answer that says why has left."""
        try:
            audio = pb_utils.get_input_tensor_by_name(request, "audio").as_numpy()
            if audio.shape[0] != 1:
                raise InvalidInput("audio", f"{audio.shape[0]} rows in one request; send one window a request")
            options = TranscriptionOptions.from_parameters(json.loads(request.parameters() or "{}"))
            window = Window(audio[0], options)
            window.check()
            if options.condition_on_previous_text:
                raise InvalidInput(
                    "condition_on_previous_text",
                    "one window has no text before it; send that as `prompt`, or use -long",
                )
            self._transcriber.check(options)
        except Exception as error:
            self._answer(request, error)
            return None
        return _Asked(request, window)

    def _hear(self, asked: Sequence[_Asked]) -> None:
        """Transcribe as one batch what its callers still want, and answer."""
        wanted = []
        for each in asked:
            if each.request.is_cancelled():
                self._answer(each.request, Cancelled("the caller left before the work began"))
            else:
                wanted.append(each)
        for each, outcome in zip(wanted, self._transcribe([each.window for each in wanted]), strict=True):
            self._answer(each.request, outcome)

    def _transcribe(self, windows: Sequence[Window]) -> list[Outcome]:
        """The windows' outcomes; where the batch as a whole fails, each window is tried alone."""
        if not windows:
            return []
        try:
            transcripts = self._transcriber.transcribe(windows)
        except Exception as error:
            if len(windows) == 1:
                return [error]
            pb_utils.Logger.log_warn(f"a batch of {len(windows)} failed ({error!r}); its windows are tried one by one")
            return [outcome for window in windows for outcome in self._transcribe([window])]
        for window in windows:
            self._metrics.audio(window.seconds)
        return list(transcripts)

    def _answer(self, request: Any, outcome: Outcome) -> None:
        """The one response of a request. Never raises."""
        try:
            if isinstance(outcome, Exception):
                self._metrics.error(outcome)
                response = pb_utils.InferenceResponse(error=to_triton(outcome, request.request_id()))
            else:
                columns = outcome.to_columns()
                response = pb_utils.InferenceResponse([pb_utils.Tensor(name, each) for name, each in columns.items()])
            request.get_response_sender().send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as lost:
            pb_utils.Logger.log_error(f"request {request.request_id() or '-'}: its answer could not be sent: {lost}")
