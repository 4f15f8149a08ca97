"""A whole speech as a JSON object with the audio file in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from gateway.core.synthesize import SpeechStream
from gateway.streaming import StreamedResponse, WholeResponse, in_a_file
from tritone.contract import SPEECH_RATE

_BASE64_UNIT: Final = 3
"""Bytes that base64 encodes together; parts of such lengths can be joined."""


async def json_response(stream: SpeechStream, headers: Mapping[str, str]) -> StreamedResponse:
    """Return the response when the speech is complete."""
    return WholeResponse(await in_a_file(_parts(stream)), "application/json", headers)


async def _parts(stream: SpeechStream) -> AsyncGenerator[bytes]:
    yield b'{"audio":"'
    rest = b""
    async with aclosing(stream.encoded()) as pieces:
        async for piece in pieces:
            joined = rest + piece
            even = len(joined) - len(joined) % _BASE64_UNIT
            yield base64.b64encode(joined[:even])
            rest = joined[even:]
    yield base64.b64encode(rest)
    summary = {
        "format": stream.audio_format,
        "sample_rate": SPEECH_RATE,
        "duration": round(stream.audio_seconds, 3),
        "finish_reason": stream.finish_reason,
    }
    yield b'",' + json.dumps(summary).encode().removeprefix(b"{")
