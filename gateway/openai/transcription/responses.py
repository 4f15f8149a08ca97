"""A transcription as an HTTP response, whole or in events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Final

from fastapi.responses import Response
from pydantic import BaseModel

from gateway.core.transcribe import TranscriptionStream
from gateway.core.transcription_result import TranscriptionResult
from gateway.openai.transcription import subtitles
from gateway.openai.transcription.protocol import TextDelta, TimedSegment
from gateway.openai.transcription.requests import Granularity, ResponseFormat
from gateway.openai.transcription.result import (
    diarized_json,
    diarized_segment,
    json_result,
    logprobs,
    text_done,
    timed_segment,
    verbose_json,
)
from tritone.transcript import Segment

MEDIA_TYPES: Final[dict[ResponseFormat, str]] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


async def whole_response(
    result: TranscriptionResult,
    response_format: ResponseFormat,
    headers: dict[str, str],
    *,
    granularities: Collection[Granularity],
    with_logprobs: bool = False,
    usage_in_tokens: bool = False,
) -> Response:
    """Return the whole result in one piece."""
    match response_format:
        case "json":
            content = _dumped(json_result(result, with_logprobs=with_logprobs, usage_in_tokens=usage_in_tokens))
        case "text":
            content = f"{result.text}\n"
        # The words of four hours take a quarter of a second, and their cues seconds.
        case "verbose_json":
            content = await asyncio.to_thread(lambda: _dumped(verbose_json(result, granularities)))
        case "diarized_json":
            with_words = "word" in granularities
            content = await asyncio.to_thread(
                lambda: _dumped(diarized_json(result, usage_in_tokens=usage_in_tokens, with_words=with_words))
            )
        case "srt":
            content = await asyncio.to_thread(subtitles.srt, list(result.segments))
        case "vtt":
            content = await asyncio.to_thread(subtitles.vtt, list(result.segments))
    return Response(content, media_type=MEDIA_TYPES[response_format], headers=headers)


async def events(
    stream: TranscriptionStream, *, diarized: bool, with_words: bool, with_logprobs: bool
) -> AsyncGenerator[BaseModel]:
    """Yield the text of each segment as soon as it is known; at last the whole text.

    If `diarized`, each segment follows with its speaker; if `with_words`, with its words. If the model sends text
    before its segment is complete, that is yielded at once.
    """

    def timed(segment: Segment, index: int) -> TimedSegment | None:
        if diarized:
            return diarized_segment(segment, index, with_words=with_words)
        return timed_segment(segment, index, with_words=True) if with_words else None

    index = 0
    begun = False
    sent = 0  # characters of the window's text
    async with aclosing(stream.pieces()) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                sent += len(piece)
                delta = piece if begun else piece.lstrip()
                begun = True
                yield TextDelta(delta=delta)
                continue
            for segment in piece.segments:
                event = timed(segment, index)
                index += 1
                rest, sent = segment.text[sent:], max(0, sent - len(segment.text))
                delta = rest if begun else rest.lstrip()
                if delta:
                    begun = True
                    yield TextDelta(
                        delta=delta,
                        logprobs=logprobs([segment]) if with_logprobs else None,
                        segment_id=event.id if event else None,
                    )
                if event:
                    yield event
    yield text_done(stream.result, with_logprobs=with_logprobs)


def _dumped(content: BaseModel) -> str:
    return content.model_dump_json(exclude_none=True)
