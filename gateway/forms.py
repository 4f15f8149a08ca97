"""Forms with files: the files are stored on disk, and the texts beside them are held in memory, within its limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, ClassVar, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.bodies import text_counter

FORM: Final = "multipart/form-data"
_NO_LIMIT: Final = 2**63
"""Of one text: the limits are those of all of a body's text."""
_MOST_NAME_CHARS: Final = 64


class FormRequest(Request):
    """A request with a form that is read before FastAPI asks for it."""

    async def read(self) -> FormData:
        """Return the form. Raises as `read_form`."""
        self._form = form = await read_form(self)
        return form


class MultipartRoute(APIRoute):
    """A route that FastAPI serves, with a form that `request_class` reads."""

    request_class: ClassVar[type[FormRequest]] = FormRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            form_request = self.request_class(request.scope, request.receive)
            await form_request.read()
            return await handle(form_request)

        return read_and_handle


async def read_form(request: Request) -> FormData:
    """Return the form of a request, an empty one for another content type; close it.

    Raises `HTTPException` for a malformed form, and `BodyTooLarge` for too much text beside its files.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return await request.form(max_part_size=_NO_LIMIT)
    async with aclosing(request.stream()) as stream:
        try:
            return await _Parser(request.headers, stream, text_counter(request.scope)).parse()
        except MultiPartException as error:
            raise HTTPException(400, error.message) from None


class _Parser(MultiPartParser):
    """Calls `count` with the bytes of each piece of text, and the name of its field."""

    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], count: Callable[[int, str], None]
    ) -> None:
        super().__init__(headers, stream, max_part_size=_NO_LIMIT)
        self._count = count

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a part. Raises what `count` raises."""
        if self._current_part.file is None:
            self._count(end - start, self._current_part.field_name[:_MOST_NAME_CHARS])
        super().on_part_data(data, start, end)
