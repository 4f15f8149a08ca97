"""The HTTP form of the errors that FastAPI and Starlette raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.errors import BadRequest, HttpError, MethodNotAllowed, NotFound, UnsupportedMedia, http_error
from gateway.untrusted_json import MalformedJson

_NO_FILE: Final = "Expected UploadFile"
"""How FastAPI begins to say that a field of a form is text."""


def framework_error(request: Request, error: Exception) -> HttpError:
    """Return the HTTP form of an error of the framework: in routing, parsing or validation."""
    if isinstance(error, HTTPException):
        return _from_routing(request, error)
    assert isinstance(error, RequestValidationError)
    return _from_validation(request, error)


def _from_routing(request: Request, error: HTTPException) -> HttpError:
    if isinstance(error.__cause__, OSError):
        return http_error(error.__cause__, {})  # FastAPI calls everything that fails while it reads a body a 400
    if isinstance(error.__cause__, MalformedJson):
        return BadRequest(f"body: {error.__cause__}")
    if error.status_code == 404:
        return NotFound(f"there is no {request.url.path}; /docs lists the routes")
    if error.status_code == 405:
        return MethodNotAllowed(f"{request.method} is not allowed on {request.url.path}", headers=error.headers)
    return BadRequest(f"the body cannot be read: {error.detail}")


def _from_validation(request: Request, error: RequestValidationError) -> HttpError:
    first = error.errors()[0]
    where, *path = first["loc"]
    if first["type"] == "json_invalid":
        return BadRequest(f"the body is not JSON: {first['ctx']['error']} at character {path[0]}")
    if where == "body" and not path and isinstance(error.body, bytes):
        sent = request.headers.get("content-type", "none")
        return UnsupportedMedia(f"content type {sent!r} is not supported; send application/json")
    return field_error(first, path)


def field_error(first: Mapping[str, Any], path: Sequence[object]) -> BadRequest:
    """Return the error of the field at `path`, from one of Pydantic's error details."""
    # Pydantic adds the branch of a union to the path; clients know only the field.
    param = str(path[0]) if path else None
    message = first["msg"].removeprefix("Value error, ")
    if message.startswith(_NO_FILE):
        message = "send it as a file, with a filename"
    return BadRequest(f"{param or 'body'}: {message}", param=param)
