"""A speech stream as an HTTP response: a file, its parts as they are made, or events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import AnySpeech, speak
from gateway.openai.response_headers import model_headers
from gateway.openai.speech.protocol import (
    AudioDelta,
    AudioDone,
    AudioSubtitles,
    AudioTimestamps,
    SpeechBody,
    SpeechTimes,
    Usage,
)
from gateway.openai.speech.timestamps import Timestamps
from gateway.speech_json import json_response
from gateway.streaming import EventStream, StreamedResponse, WholeResponse, in_a_file
from tritone.errors import InvalidInput


@dataclass(frozen=True)
class SummaryHeader:
    """A header of whole responses."""

    description: str
    value: Callable[[AnySpeech], str]


SUMMARY_HEADERS: Final = {
    "x-finish-reason": SummaryHeader(
        "Of a whole response: `stop`, or why it was cut: `length`, `runaway`.", lambda stream: stream.finish_reason
    ),
    "x-audio-duration": SummaryHeader(
        "Of a whole response: its length in seconds.", lambda stream: f"{stream.audio_seconds:.3f}"
    ),
    "x-engine-time": SummaryHeader(
        "Of a whole response: the model's time in seconds.", lambda stream: f"{stream.engine_seconds:.3f}"
    ),
    "x-prompt-tokens": SummaryHeader(
        "Of a whole response: tokens of the text.", lambda stream: f"{stream.text_tokens}"
    ),
    "x-completion-tokens": SummaryHeader(
        "Of a whole response: frames of the audio in the model's own unit.", lambda stream: f"{stream.audio_frames}"
    ),
}
"""The summary of a whole response; the names are those of sglang-omni."""
SAMPLE_RATE: Final = "x-sample-rate"


async def begin(services: Services, body: SpeechBody, telemetry: WorkTelemetry) -> tuple[AnySpeech, dict[str, str]]:
    """Return the prepared speech of `body`, and the headers of its response."""
    try:
        stream = await speak(services, body.request(), telemetry)
    except InvalidInput as error:
        raise InvalidInput(body.client_field_name(error.field), error.problem) from None
    ignored = [*map(body.client_field_name, stream.ignored), *body.unknown_fields]
    return stream, model_headers(stream.model, ignored)


async def respond(services: Services, body: SpeechBody, telemetry: WorkTelemetry) -> StreamedResponse:
    """Return the response to `body` after its first bytes are known, or all of them for a whole file."""
    if body.wants_times and body.stream_format != "sse" and body.stream is not False:
        problem = "an audio file has no place for it; set stream_format to sse, or stream to false"
        raise InvalidInput(body.client_field_name("word_times"), problem)
    stream, headers = await begin(services, body, telemetry)
    media_type = MEDIA_TYPES[stream.audio_format]
    if stream.audio_format == "pcm":
        headers[SAMPLE_RATE] = str(stream.sample_rate)
    if stream.whole and body.wants_times:
        return await whole_json(stream, headers, body)
    if stream.whole:
        content = await in_a_file(stream.encoded())
        summary = {name: header.value(stream) for name, header in SUMMARY_HEADERS.items()}
        return WholeResponse(content, media_type, {**headers, **summary})
    if body.stream_format == "sse":
        response: StreamedResponse = EventStream(_events(stream, Timestamps.of(body)), headers)
    else:
        response = StreamedResponse(stream.encoded(), media_type, headers)
    await response.begin()
    return response


async def _events(stream: AnySpeech, timestamps: Timestamps) -> AsyncGenerator[BaseModel]:
    async with aclosing(stream.encoded()) as pieces:
        async for piece in pieces:
            yield AudioDelta.of(piece)
            if times := timestamps.add(stream.take_words()):
                yield _timestamps_event(times)
    if times := timestamps.add(stream.take_words(), last=True):
        yield _timestamps_event(times)
    if timestamps.subtitle_format and (text := await timestamps.subtitles()):
        yield AudioSubtitles(format=timestamps.subtitle_format, text=text)
    yield AudioDone(usage=usage_of(stream), finish_reason=stream.finish_reason)


def _timestamps_event(times: SpeechTimes) -> AudioTimestamps:
    return AudioTimestamps(words=times.words or None, segments=times.segments or None)


async def whole_json(stream: AnySpeech, headers: dict[str, str], body: SpeechBody) -> StreamedResponse:
    """Return the whole speech as a JSON object, with the times and the subtitles that `body` asks for."""
    timestamps = Timestamps.of(body)

    async def more() -> dict[str, Any]:
        times = timestamps.add(stream.take_words(), last=True) or SpeechTimes()
        return {**times.model_dump(exclude_none=True), "subtitles": await timestamps.subtitles()}

    return await json_response(stream, headers, more)


def usage_of(stream: AnySpeech) -> Usage:
    """Return the usage of a stream that was read to its end."""
    return Usage.of(stream.text_tokens, stream.audio_frames)
