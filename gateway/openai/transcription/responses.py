"""What was heard as an HTTP answer, whole or in events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from fastapi.responses import Response
from pydantic import BaseModel

from gateway.transcription import subtitles
from gateway.transcription.formats import Hearing, logprobs, spoken
from gateway.transcription.forms import Granularity, ResponseFormat, TranscriptionForm
from gateway.transcription.protocol import TextDelta
from tritone.transcribe_windows import WindowTranscript

MEDIA_TYPES: Final[dict[ResponseFormat, str]] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


async def answer(
    hearing: Hearing,
    response_format: ResponseFormat,
    headers: dict[str, str],
    *,
    granularities: set[Granularity],
    with_logprobs: bool = False,
) -> Response:
    """All that was heard, in one piece."""
    match response_format:
        case "json":
            content = _dumped(hearing.json(with_logprobs=with_logprobs))
        case "verbose_json":
            content = _dumped(hearing.verbose_json(granularities))
        case "diarized_json":
            content = _dumped(hearing.diarized_json())
        case "text":
            content = f"{hearing.text}\n"
        # An hour's cues are most of a second's work.
        case "srt":
            content = await asyncio.to_thread(subtitles.srt, list(hearing.segments))
        case "vtt":
            content = await asyncio.to_thread(subtitles.vtt, list(hearing.segments))
    return Response(content, media_type=MEDIA_TYPES[response_format], headers=headers)


async def events(
    passages: AsyncGenerator[WindowTranscript], hearing: Hearing, form: TranscriptionForm
) -> AsyncGenerator[BaseModel]:
    """The text of each segment as soon as it is heard, and who said it where that was asked; the whole text at last."""
    index = 0
    begun = False
    async with aclosing(passages):
        async for passage in passages:
            for segment in passage.segments:
                told = spoken(segment, index) if form.diarized else None
                index += 1
                delta = segment.text if begun else segment.text.lstrip()
                if delta:
                    begun = True
                    yield TextDelta(
                        delta=delta,
                        logprobs=logprobs([segment]) if form.include else None,
                        segment_id=told.id if told else None,
                    )
                if told:
                    yield told
    yield hearing.done(with_logprobs=bool(form.include))


def _dumped(content: BaseModel) -> str:
    return content.model_dump_json(exclude_none=True)
