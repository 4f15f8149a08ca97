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
from gateway.openai.transcription.protocol import TextDelta
from gateway.openai.transcription.requests import Granularity, ResponseFormat
from gateway.openai.transcription.result import (
    diarized_json,
    diarized_segment,
    json_result,
    logprobs,
    text_done,
    verbose_json,
)

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
        case "verbose_json":
            content = _dumped(verbose_json(result, granularities))
        case "diarized_json":
            content = _dumped(diarized_json(result, usage_in_tokens=usage_in_tokens))
        case "text":
            content = f"{result.text}\n"
        # The cues of an hour take most of a second.
        case "srt":
            content = await asyncio.to_thread(subtitles.srt, list(result.segments))
        case "vtt":
            content = await asyncio.to_thread(subtitles.vtt, list(result.segments))
    return Response(content, media_type=MEDIA_TYPES[response_format], headers=headers)


async def events(stream: TranscriptionStream, *, diarized: bool, with_logprobs: bool) -> AsyncGenerator[BaseModel]:
    """Yield the text of each segment as soon as it is known, with its speaker if `diarized`; at last the whole text.

    If the model sends text before its segment is complete, that is yielded at once.
    """
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
                speaker_segment = diarized_segment(segment, index) if diarized else None
                index += 1
                rest, sent = segment.text[sent:], max(0, sent - len(segment.text))
                delta = rest if begun else rest.lstrip()
                if delta:
                    begun = True
                    yield TextDelta(
                        delta=delta,
                        logprobs=logprobs([segment]) if with_logprobs else None,
                        segment_id=speaker_segment.id if speaker_segment else None,
                    )
                if speaker_segment:
                    yield speaker_segment
    yield text_done(stream.result, with_logprobs=with_logprobs)


def _dumped(content: BaseModel) -> str:
    return content.model_dump_json(exclude_none=True)
