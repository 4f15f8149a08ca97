"""`POST /dev/captioned_speech`: speech with the times of its words, in the shape of Kokoro-FastAPI."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import AnySpeech
from gateway.errors import http_error
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.speech.serving import begin
from gateway.speech_json import json_response
from gateway.streaming import StreamedResponse
from tritone.transcript import Word

LINES: Final = "application/x-ndjson"
"""JSON objects, one in each line."""
_OF_THE_OTHER_ROUTE: Final = ("stream_format", "subtitle_format", "timestamp_granularities")


class CaptionedBody(SpeechBody):
    """The fields of `/v1/audio/speech`; `stream: false` for one object, or else there is one in each line."""

    return_timestamps: bool = Field(True, description="Whether the times of words are wanted.")

    @property
    def wants_times(self) -> bool:
        """Whether the response has times of words."""
        return self.return_timestamps

    @property
    def unknown_fields(self) -> list[str]:
        """The names of the fields that this route does not have."""
        return [*super().unknown_fields, *(name for name in _OF_THE_OTHER_ROUTE if name in self.model_fields_set)]

    def client_field_name(self, name: str) -> str:
        """Return the field of this body that became the option or field `name` of the use case."""
        return "return_timestamps" if name == "word_times" else super().client_field_name(name)


class CaptionedWord(BaseModel):
    """A word, and its times in seconds from the start of the whole audio."""

    word: str
    start_time: float
    end_time: float

    @classmethod
    def of(cls, word: Word) -> CaptionedWord:
        """Return a word in this form."""
        return cls(word=word.text.strip(), start_time=round(word.start, 3), end_time=round(word.end, 3))


class CaptionedAudio(BaseModel):
    """A part of the audio, or all of it, and the words whose times have become known with it."""

    audio: str
    """Base64."""
    audio_format: str
    """Media type."""
    timestamps: list[CaptionedWord] | None
    """None: they were not wanted."""


async def respond_captioned(services: Services, body: CaptionedBody, telemetry: WorkTelemetry) -> StreamedResponse:
    """Return the response to `body` after its first line is known, or the whole object."""
    stream, headers = await begin(services, body, telemetry)
    media_type = MEDIA_TYPES[stream.audio_format]
    if not stream.whole:
        response = StreamedResponse(_lines(stream, media_type, timed=body.wants_times), LINES, headers)
        await response.begin()
        return response

    async def more() -> dict[str, Any]:
        words = _words(stream.take_words()) if body.wants_times else None
        return {"audio_format": media_type, "timestamps": words and [word.model_dump() for word in words]}

    return await json_response(stream, headers, more)


async def _lines(stream: AnySpeech, media_type: str, *, timed: bool) -> AsyncGenerator[bytes]:
    """Yield an object in each line; the last may have words alone, or be an error."""
    begun = False
    try:
        async with aclosing(stream.encoded()) as pieces:
            async for piece in pieces:
                yield _line(piece, media_type, stream.take_words(), timed=timed)
                begun = True
        if words := stream.take_words():
            yield _line(b"", media_type, words, timed=timed)
    except Exception as error:
        if not begun:
            raise
        yield json.dumps(http_error(error, FIELD_NAMES).body()).encode() + b"\n"


def _line(piece: bytes, media_type: str, words: Iterable[Word], *, timed: bool) -> bytes:
    audio = base64.b64encode(piece).decode()
    part = CaptionedAudio(audio=audio, audio_format=media_type, timestamps=_words(words) if timed else None)
    return part.model_dump_json().encode() + b"\n"


def _words(words: Iterable[Word]) -> list[CaptionedWord]:
    return [CaptionedWord.of(word) for word in words]
