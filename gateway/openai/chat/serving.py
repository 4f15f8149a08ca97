"""A chat completion as an HTTP response."""

from __future__ import annotations

import io
from typing import Final

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.errors import NotSetUp
from gateway.openai.chat.hearing import Hearing
from gateway.openai.chat.models import language_model_of
from gateway.openai.chat.protocol import ChatBody
from gateway.openai.chat.spoken import SpokenAnswer
from gateway.openai.response_headers import model_headers
from gateway.speech_json import JSON
from gateway.streaming import EventStream, StreamedResponse, WholeResponse

_END: Final = "[DONE]"
_NO_DATA: Final = b'"data":""'


async def respond(services: Services, body: ChatBody, telemetry: WorkTelemetry) -> StreamedResponse:
    """Return the response to `body` after its first event is known, or the whole answer."""
    services.language_model.check()
    if services.settings.llm_api != "chat":
        raise NotSetUp("chat completions are not possible here: LLM_API is `completions`")
    body.check_addresses()
    model = language_model_of(body.model, services.settings)
    if body.spoken:
        return await _spoken(services, body, model, telemetry)
    return await _forwarded(services, body, model, telemetry)


async def _spoken(services: Services, body: ChatBody, model: str, telemetry: WorkTelemetry) -> StreamedResponse:
    answer = SpokenAnswer(services, body, model, telemetry)
    await answer.prepare()
    headers = model_headers(answer.speech.model, answer.ignored)
    if body.stream:
        response = EventStream(answer.chunks(), headers, _END)
        await response.begin()
        return response
    completion, file = await answer.completed()
    head, data, tail = completion.model_dump_json().encode().partition(_NO_DATA)
    return WholeResponse(file, JSON, headers, around=(head + data[:-1], data[-1:] + tail) if tail else (head, b""))


async def _forwarded(services: Services, body: ChatBody, model: str, telemetry: WorkTelemetry) -> StreamedResponse:
    """Return the language model's own response to the request, in which words stand in place of audio."""
    messages = await Hearing(services, telemetry).messages(body.messages)
    fields = {**body.fields, "messages": messages, "model": model}
    if body.stream:
        response = EventStream(services.language_model.forward_events(fields), last=_END)
        await response.begin()
        return response
    return WholeResponse(io.BytesIO(await services.language_model.forward(fields)), JSON, {})
