"""A transcription model inside Triton that schedules its windows itself, and may send their text as it is decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics, counts_of
from adapters.triton.open_streams import OpenStreams
from adapters.triton.speech_request import timeout_of
from adapters.triton.transcriber import WindowRequest
from adapters.triton.transcript_stream import TranscriptStream
from adapters.triton.window_reader import read_window, transcription_options
from tritone.contract import TranscriptionDescription, TranscriptionOptions
from tritone.initialized import mark_initialized


class TranscriptionEngine(Protocol):
    """Transcribe windows on threads of its own: the part that a family implements."""

    description: TranscriptionDescription

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for supported options with values that this checkpoint cannot serve."""

    def submit(self, window: WindowRequest, stream: TranscriptStream, *, timeout: float) -> None:
        """Accept a window and return soon; the engine ends `stream` later, in every case, within `timeout` seconds.

        Raises `Overloaded` for a window that it rejects, and then leaves the stream alone.
        """

    def close(self) -> None:
        """Accept no more windows, fail the open ones, and return once no thread runs."""


class StreamedTranscriptionModel(ABC):
    """Base of a transcription adapter's `TritonPythonModel` with an engine. Its interface is decoupled."""

    @abstractmethod
    def load(self, instance: Instance) -> TranscriptionEngine:
        """Load the checkpoint; an exception makes Triton refuse to load the model, with the exception's message."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model; Triton calls this once an instance."""
        instance = Instance.from_args(args)
        self._open: OpenStreams[TranscriptStream] = OpenStreams()
        self._engine = self.load(instance)
        self._metrics = Metrics(instance.model, "transcription")
        self._metrics.watch(lambda: counts_of(self._engine))
        mark_initialized()

    def execute(self, requests: Sequence[Any]) -> None:
        """Submit every window to the engine; responses leave through the requests' response senders."""
        for request in requests:
            stream = TranscriptStream(
                request.get_response_sender(), self._metrics, request.request_id(), on_end=self._open.discard
            )
            self._open.add(stream)
            try:
                self._submit(request, stream)
            except Exception as error:
                stream.fail(error)

    def finalize(self) -> None:
        """Stop the engine; Triton calls this when no request is open any more."""
        self._engine.close()
        self._open.fail_all()
        self._metrics.close()

    def _submit(self, request: Any, stream: TranscriptStream) -> None:
        options = transcription_options(request)
        if options.describe:
            stream.describe(self._engine.description)
        else:
            window = read_window(request, options, self._engine.description, self._engine.check)
            self._open.begin_work(stream, self._metrics)
            stream.wait()
            self._engine.submit(window, stream, timeout=timeout_of(request))
