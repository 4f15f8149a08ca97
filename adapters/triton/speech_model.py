"""A speech model inside Triton: requests in, a stream of audio out, and one last response in every case.

A family gives a `SpeechEngine`; its `TritonPythonModel` is a `SpeechModel` that loads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics, counts_of
from adapters.triton.open_streams import OpenStreams
from adapters.triton.references import ReferenceCache
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_engine import SpeechEngine
from adapters.triton.speech_request import SpeechRequest, options_of
from tritone.initialized import mark_initialized
from tritone.settings import MAX_INPUT_CHARS


class SpeechModel(ABC):
    """Base of a speech adapter's `TritonPythonModel`.

    Triton calls `initialize` once, `execute` for every batch of requests, and `finalize` once.
    """

    @abstractmethod
    def load(self, instance: Instance) -> SpeechEngine:
        """Load the checkpoint and test that it synthesizes speech; called once.

        An exception makes Triton refuse to load the model, with the exception's message.
        """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model."""
        instance = Instance.from_args(args)
        self._max_chars = MAX_INPUT_CHARS.read()
        self._open: OpenStreams[ResponseStream] = OpenStreams()
        self._engine = self.load(instance)
        self._metrics = Metrics(instance.model, "speech")
        self._metrics.watch(lambda: counts_of(self._engine))
        self._references = ReferenceCache.of_instance(instance, self._metrics.voice)
        mark_initialized()

    def execute(self, requests: Sequence[Any]) -> None:
        """Submit every request to the engine; responses leave through the requests' response senders."""
        for request in requests:
            stream = ResponseStream(
                request.get_response_sender(), self._metrics, request.request_id(), on_end=self._open.discard
            )
            self._open.add(stream)
            try:
                self._submit(request, stream)
            except Exception as error:
                stream.fail(error)

    def finalize(self) -> None:
        """Stop the engine."""
        self._engine.close()
        self._references.close()
        self._open.fail_all()
        self._metrics.close()

    def _submit(self, request: Any, stream: ResponseStream) -> None:
        description = self._engine.description
        options = options_of(request)
        if options.describe:
            stream.describe(description)
            return
        speech_request = SpeechRequest.from_triton(request, options, description, self._max_chars, self._references)
        self._open.begin_work(stream, self._metrics)
        stream.wait()
        self._engine.submit(speech_request, stream)
