"""Read the form of a recording, in the spellings of many clients: as multipart, or as JSON with the audio in base64."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, get_origin

from fastapi import Request
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from starlette.datastructures import FormData, UploadFile

from gateway import forms, untrusted_json
from gateway.audio.inline import from_base64, from_data_url, is_data_url
from gateway.body_route import BodyRoute
from gateway.errors import BadRequest, UnsupportedMedia
from gateway.forms import FORM
from gateway.request_context import services_of

_URL_ENCODED: Final = "application/x-www-form-urlencoded"
"""A form without a file, for the fields that name one elsewhere."""
_JSON: Final = "application/json"
_ITEM: Final = re.compile(r"\[\d*]$")

JSON_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "content": {
            _JSON: {
                "schema": {
                    "type": "object",
                    "description": "The fields of the form, with `input_audio` in place of `file`.",
                    "required": ["input_audio"],
                    "properties": {
                        "input_audio": {
                            "type": "object",
                            "required": ["data"],
                            "properties": {
                                "data": {"type": "string", "description": "The recording in base64."},
                                "format": {"type": "string", "description": "Its container; found out from the data."},
                            },
                        }
                    },
                    "additionalProperties": True,
                }
            }
        }
    }
}
"""The body as OpenRouter defines it, and as Open WebUI can send it, in OpenAPI's words."""


class _FormRequest(forms.FormRequest):
    async def read(self) -> FormData:
        """Return the form. Raises as `read_form`."""
        self._form = form = await read_form(self)
        return form


class FormRoute(forms.MultipartRoute):
    """A route whose form may come as JSON, with lists in any spelling; blank fields count as absent."""

    request_class = _FormRequest


class FormBodyRoute(BodyRoute):
    """A `FormRoute` whose endpoint takes the request and its form, and nothing else."""

    request_class = _FormRequest

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._lists = {name for field in self.model.model_fields.values() for name in _names_of_list(field)}

    async def read(self, request: _FormRequest) -> Mapping[str, Any]:
        """Return the fields of the form; the last one of a name counts. Raises as `read_form`."""
        form = await request.read()
        return {name: form.getlist(name) if name in self._lists else form[name] for name in form}


def _names_of_list(field: FieldInfo) -> Iterable[Any]:
    """Return the names that a form has for a field; none if it is no list."""
    if get_origin(field.annotation) is not list:
        return ()
    assert isinstance(field.validation_alias, AliasChoices)
    return field.validation_alias.choices


async def read_form(request: Request) -> FormData:
    """Return the form of a request; close it.

    Raises `UnsupportedMedia` for another content type, `BadRequest`, and as `forms.read_form`.
    """
    sent = request.headers.get("content-type", "none")
    kind = sent.partition(";")[0].strip().lower()
    if kind in (FORM, _URL_ENCODED):
        form = await forms.read_form(request)
    elif kind == _JSON:
        limit = (await services_of(request)).settings.max_upload_bytes
        form = FormData(await asyncio.to_thread(_items, await request.body(), limit))
    else:
        raise UnsupportedMedia(f"content type {sent!r} is not supported; send {FORM}")
    try:
        return FormData(list(normalized(form.multi_items())))
    except BadRequest:
        await form.close()
        raise


def _items(body: bytes, max_bytes: int) -> list[tuple[str, UploadFile | str]]:
    """Return the form that a JSON body stands for."""
    try:
        fields = untrusted_json.parse_object(body, max_bytes=max_bytes)
    except untrusted_json.MalformedJson as error:
        raise BadRequest(f"body: {error}") from None
    items: list[tuple[str, UploadFile | str]] = [("file", _recording(fields.pop("input_audio", None)))]
    for name, value in fields.items():
        if isinstance(value, list):
            items += [(f"{_ITEM.sub('', name)}[]", _text(item)) for item in value]
        else:
            items.append((name, _text(value)))
    return items


def _recording(audio: Any) -> UploadFile:
    data = audio.get("data") if isinstance(audio, dict) else None
    if not isinstance(data, str):
        raise BadRequest('input_audio: send {"data": the recording in base64}', param="input_audio")
    try:
        content = from_data_url(data) if is_data_url(data) else from_base64(data)
    except ValueError:
        raise BadRequest("input_audio: `data` is not base64", param="input_audio") from None
    return UploadFile(io.BytesIO(content), size=len(content), filename="input_audio")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def normalized(items: Iterable[tuple[str, UploadFile | str]]) -> Iterator[tuple[str, UploadFile | str]]:
    """Yield the fields that are not blank, the items of a list all under the name with empty brackets."""
    items = [(_ITEM.sub("[]", name), value) for name, value in items]
    lists = {name for name, _ in items if name.endswith("[]")}
    for name, value in items:
        if isinstance(value, str) and not value.strip():
            if name == "model":
                raise BadRequest("model: it is empty; send a model's name, or leave it out", param="model")
            continue
        yield (f"{name}[]" if f"{name}[]" in lists else name), value
