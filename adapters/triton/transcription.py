"""The Python backend's side of every transcription model: requests in, transcripts out, a batch at a time."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils

from adapters.triton.errors import to_triton
from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics
from adapters.triton.window import Transcriber, Window
from tritone.contract import TranscriptionOptions
from tritone.errors import Cancelled, InvalidInput
from tritone.transcript import Transcript

Outcome = Transcript | Exception


class TranscriptionModel(ABC):
    """Base of a transcription adapter's `TritonPythonModel`.

    Triton's batcher hands windows of different callers to one `execute`; a request that is wrong, cancelled or fails is
    answered with its own error, and its neighbours with their transcripts.
    """

    @abstractmethod
    def load(self, instance: Instance) -> Transcriber:
        """Load the checkpoint; an exception makes Triton refuse to load the model, with the message."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Called by Triton once an instance."""
        instance = Instance.from_args(args)
        self._transcriber = self.load(instance)
        self._metrics = Metrics(instance.model)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Called by Triton for each batch: one response a request, in order."""
        reads = [self._read(request) for request in requests]
        outcomes = iter(self._transcribe([read for read in reads if isinstance(read, Window)]))
        return [
            self._respond(request, next(outcomes) if isinstance(read, Window) else read)
            for request, read in zip(requests, reads, strict=True)
        ]

    def _read(self, request: Any) -> Window | Exception:
        """The request's window, or why there is none."""
        try:
            if request.is_cancelled():
                raise Cancelled("the caller left before the work began")
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
            return error
        return window

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

    def _respond(self, request: Any, outcome: Outcome) -> Any:
        if isinstance(outcome, Exception):
            self._metrics.error(outcome)
            return pb_utils.InferenceResponse(error=to_triton(outcome, request.request_id()))
        columns = outcome.to_columns()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, column) for name, column in columns.items()])
