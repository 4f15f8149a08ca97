"""`POST /v1/audio/speech/batch`: several texts in one request, in the shape of vLLM-Omni and SGLang-Omni."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.at_capacity import wait_for_room
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import speak
from gateway.errors import HttpError, http_error
from gateway.framework_errors import field_error
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.speech.protocol import SpeechBody, SpeechTimes, Usage
from gateway.openai.speech.serving import usage_of
from gateway.openai.speech.timestamps import Timestamps
from tritone.errors import InvalidInput

MAX_ITEMS: Final = 32
_AT_ONCE: Final = 8
"""Items in work or waiting to be sent, which bounds the audio in memory."""


class BatchBody(BaseModel):
    """The items; every other field is a default of their own fields, those of `POST /v1/audio/speech`."""

    model_config = ConfigDict(extra="allow")

    items: list[dict[str, Any]] = Field(
        min_length=1, max_length=MAX_ITEMS, description="Speech requests; only `input` is required in each."
    )

    def bodies(self) -> list[SpeechBody | HttpError]:
        """Return the request of each item, or what is wrong with it."""
        return [self._body({**(self.model_extra or {}), **item}) for item in self.items]

    def _body(self, fields: dict[str, Any]) -> SpeechBody | HttpError:
        try:
            return SpeechBody.model_validate({**fields, "stream": False, "stream_format": "audio"})
        except ValidationError as error:
            first = error.errors()[0]
            return field_error(first, first["loc"])


class ItemResult(SpeechTimes):
    """The audio of one item, with the times that it asks for, or why there is none."""

    index: int
    status: Literal["success", "error"]
    audio_data: str | None = Field(default=None, description="The audio file in base64.")
    media_type: str | None = None
    model: str | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    ignored: list[str] | None = Field(default=None, description="Fields that have no effect with this model.")
    subtitles: str | None = None
    error: str | None = None


class BatchResult(BaseModel):
    """The results, in the order of the items."""

    id: str
    results: list[ItemResult]
    total: int
    succeeded: int
    failed: int


async def results(services: Services, body: BatchBody, telemetry: WorkTelemetry) -> AsyncGenerator[bytes]:
    """Yield the JSON of a `BatchResult`, item by item. Closing it cancels the work in Triton."""
    deadline = time.monotonic() + services.settings.request_timeout
    waiting = deque(enumerate(body.bodies()))
    running: deque[asyncio.Task[ItemResult]] = deque()
    total, succeeded = len(waiting), 0
    yield f'{{"id":"speech-batch-{uuid.uuid4().hex}","results":['.encode()
    try:
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                index, item = waiting.popleft()
                work = telemetry.part(str(index))
                running.append(asyncio.create_task(_result(services, index, item, work, deadline)))
            result = await running.popleft()
            succeeded += result.status == "success"
            telemetry.model = telemetry.model or result.model
            yield (b"," if result.index else b"") + result.model_dump_json(exclude_none=True).encode()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    yield f'],"total":{total},"succeeded":{succeeded},"failed":{total - succeeded}}}'.encode()


async def _result(
    services: Services, index: int, item: SpeechBody | HttpError, telemetry: WorkTelemetry, deadline: float
) -> ItemResult:
    if isinstance(item, HttpError):
        return ItemResult(index=index, status="error", error=item.message)
    try:
        # The batch waits for its own items, too: it takes as many places at once as it gets.
        return await wait_for_room(lambda: _speech(services, index, item, telemetry), deadline)
    except InvalidInput as error:
        return _failed(index, InvalidInput(item.client_field_name(error.field), error.problem))
    except Exception as error:
        return _failed(index, error)


async def _speech(services: Services, index: int, item: SpeechBody, telemetry: WorkTelemetry) -> ItemResult:
    stream = await speak(services, item.request(), telemetry)
    audio = b"".join([piece async for piece in stream.encoded()])
    ignored = [*map(item.client_field_name, stream.ignored), *item.unknown_fields]
    timestamps = Timestamps.of(item)
    times = timestamps.add(stream.take_words(), last=True) or SpeechTimes()
    return ItemResult(
        index=index,
        status="success",
        audio_data=base64.b64encode(audio).decode("ascii"),
        media_type=MEDIA_TYPES[stream.audio_format],
        model=stream.model,
        usage=usage_of(stream),
        finish_reason=stream.finish_reason,
        ignored=ignored or None,
        words=times.words or None,
        segments=times.segments or None,
        subtitles=await timestamps.subtitles(),
    )


def _failed(index: int, error: Exception) -> ItemResult:
    return ItemResult(index=index, status="error", error=http_error(error, FIELD_NAMES).message)
