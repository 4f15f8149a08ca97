"""An invocation with a recording: OpenAI's transcription, in the format that `Accept` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_origin

from fastapi import Request
from fastapi.responses import Response
from pydantic import AliasChoices
from starlette.datastructures import FormData

from gateway.accept import choose
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.errors import NotAcceptable
from gateway.openai.transcription.requests import ResponseFormat, TaskForm
from gateway.openai.transcription.serving import respond
from gateway.sagemaker.parsing import parsed

_EVENTS: Final = "text/event-stream"
_MEDIA_TYPES: Final[Mapping[ResponseFormat, str]] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
}
TEXT_TYPES: Final = tuple(name for name in dict.fromkeys(_MEDIA_TYPES.values()) if not name.endswith("/json"))
_WITH_EVENTS: Final = ("json", "text", "diarized_json")
_LISTS: Final = frozenset(
    str(name)
    for field in TaskForm.model_fields.values()
    if get_origin(field.annotation) is list and isinstance(field.validation_alias, AliasChoices)
    for name in field.validation_alias.choices
)


async def transcription(
    services: Services, request: Request, form: FormData, accept: str, telemetry: WorkTelemetry
) -> Response:
    """Return the text of the form's file. Raises `NotAcceptable`, and `RequestValidationError` for a wrong option."""
    fields: dict[str, Any] = {name: form.getlist(name) if name in _LISTS else form[name] for name in form}
    media_type = _chosen(fields, accept)
    body = parsed(TaskForm, fields)
    response = await respond(services, request, body, telemetry, form)
    if not body.stream and not response.headers["content-type"].startswith(media_type):
        response.headers["content-type"] = f"{media_type}; charset=utf-8"
    return response


def _chosen(fields: dict[str, Any], accept: str) -> str:
    """Return the media type of the response, and set `response_format` and `stream` of the form to it."""
    wanted = fields.get("response_format")
    formats = [name for name in _MEDIA_TYPES if name == wanted] or list(_MEDIA_TYPES)
    offers = [_MEDIA_TYPES[name] for name in formats]
    if not set(_WITH_EVENTS).isdisjoint(formats):
        offers.append(_EVENTS)
    media_type = choose(accept, offers)
    if media_type is None:
        raise NotAcceptable(accept, offers)
    if media_type == _EVENTS:
        fields["stream"] = True
    elif wanted is None:
        fields["response_format"] = next(name for name in formats if _MEDIA_TYPES[name] == media_type)
    return media_type
