"""The recording of an invocation: the body itself, or a file in a form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, BinaryIO, Final, cast

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile

from gateway.errors import UnsupportedMedia
from gateway.forms import FORM
from gateway.openai.transcription.form_reader import normalized, read_form
from gateway.sagemaker.attributes import options_of
from gateway.speech_json import JSON

_RAW: Final = ("audio/", "video/")
_BYTES: Final = ("application/octet-stream", "application/ogg")
_MEMORY_BYTES: Final = 2**20
"""The largest recording that is held in memory."""


def content_type(request: Request) -> str:
    """Return the media type of the body."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _recording(request: Request) -> AsyncIterator[FormData | None]:
    """Dependency: the form with the recording and its options; None for a JSON body. Its file is closed afterwards.

    Raises `UnsupportedMedia`, and `BadRequest` for a form that cannot be read.
    """
    kind = content_type(request)
    if kind == JSON:
        yield None
        return
    if kind == FORM:
        form = await read_form(request)
    elif kind.startswith(_RAW) or kind in _BYTES:
        form = FormData([("file", await _spooled(request))])
    else:
        raise UnsupportedMedia(
            f"content type {kind or 'none'!r} is not supported; send {JSON}, {FORM} or a recording, such as audio/wav"
        )
    try:
        yield with_options(form, request)
    finally:
        await form.close()


Recording = Annotated[FormData | None, Depends(_recording)]


def with_options(form: FormData, request: Request) -> FormData:
    """Return `form` with the options from outside the body that it lacks."""
    further = [(name, value) for name, value in options_of(request) if name not in form and f"{name}[]" not in form]
    return FormData(list(normalized([*form.multi_items(), *further])))


async def _spooled(request: Request) -> UploadFile:
    """Return the body as a file; a large one is on disk."""
    spool = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - closed with the form
    file = UploadFile(cast(BinaryIO, spool), size=0, filename="recording")
    try:
        async for piece in request.stream():
            await file.write(piece)
        await file.seek(0)
    except BaseException:
        await file.close()
        raise
    return file
