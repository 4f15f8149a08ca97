"""An engine that gets each text with its numbers, dates and other signs as words."""

from __future__ import annotations

from dataclasses import replace

from adapters.speech.normalization import write_out
from adapters.triton.metrics import EngineCounts, counts_of
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_engine import SpeechEngine
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription


class NormalizingEngine:
    """A `SpeechEngine` whose texts are written out by the rules of the request's language.

    A text without a language, in one without rules, or without words is passed on as it is.
    """

    def __init__(self, engine: SpeechEngine, *, default_language: str) -> None:
        """`default_language`: a code, or `auto`, for requests without a language."""
        self.description: SpeechDescription = engine.description
        self._engine = engine
        self._default_language = default_language

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        """Pass a request on with its text written out."""
        language = self._default_language if request.language == "auto" else request.language
        text = write_out(request.text, language)
        self._engine.submit(replace(request, text=text) if text.strip() else request, stream)

    def counts(self) -> EngineCounts:
        """Return the counts of the engine."""
        return counts_of(self._engine)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()
