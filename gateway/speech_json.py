"""A whole speech as a JSON object, for clients that accept no audio: with the file in base64."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from pydantic import BaseModel

from gateway.audio.formats import AudioFormat
from gateway.audio.inline import in_base64
from gateway.core.written_speech import AnySpeech
from gateway.streaming import StreamedResponse, WholeResponse, in_a_file

JSON: Final = "application/json"


class Speech(BaseModel):
    """The speech of a text, for clients that accept `application/json`."""

    audio: str
    """The audio file in base64."""
    format: AudioFormat
    sample_rate: int
    """Samples a second of the speech."""
    duration: float
    """Seconds of the speech."""
    finish_reason: str
    """`stop`: complete; `length`, `runaway`: cut."""


async def _no_more() -> Mapping[str, Any]:
    return {}


async def json_response(
    stream: AnySpeech, headers: Mapping[str, str], more: Callable[[], Awaitable[Mapping[str, Any]]] = _no_more
) -> StreamedResponse:
    """Return the response when the speech is complete. `more` then gives further fields; None counts as absent."""
    return WholeResponse(await in_a_file(_parts(stream, more)), JSON, headers)


async def _parts(stream: AnySpeech, more: Callable[[], Awaitable[Mapping[str, Any]]]) -> AsyncGenerator[bytes]:
    """Yield the parts of a `Speech` object."""
    yield b'{"audio":"'
    async with aclosing(in_base64(stream.encoded())) as parts:
        async for part in parts:
            yield part.encode()
    summary = {
        "format": stream.audio_format,
        "sample_rate": stream.sample_rate,
        "duration": round(stream.audio_seconds, 3),
        "finish_reason": stream.finish_reason,
        **{name: value for name, value in (await more()).items() if value is not None},
    }
    yield b'",' + json.dumps(summary).encode().removeprefix(b"{")
