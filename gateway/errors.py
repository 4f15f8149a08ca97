"""Every error that an HTTP client is told, in OpenAI's envelope.

ApiError                     status   type                    code
|-- BadRequest                  400   invalid_request_error   -
|-- Unauthorized                401   invalid_request_error   invalid_api_key
|-- NotFound                    404   invalid_request_error   not_found, model_not_found
|-- MethodNotAllowed            405   invalid_request_error   method_not_allowed
|-- PayloadTooLarge             413   invalid_request_error   payload_too_large
|-- UnsupportedMedia            415   invalid_request_error   unsupported_media_type
|-- RateLimited                 429   rate_limit_error        rate_limit_exceeded    Retry-After
|-- ServerError                 500   server_error            internal_error
|-- Unavailable                 503   server_error            unavailable            Retry-After
`-- GatewayTimeout              504   server_error            timeout
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

_RETRY_SECONDS = 1
"""When to try again, where nobody knows better."""


class ApiError(Exception):
    """A failure as the client sees it; `param` names the field at fault, `message` says what would be right."""

    status: ClassVar[int]
    type: ClassVar[str] = "invalid_request_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The envelope, with all four keys."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole HTTP answer."""
        return JSONResponse(self.body(), self.status, self.headers)


class BadRequest(ApiError):
    """A field is missing, of the wrong type or out of range."""

    status = 400


class Unauthorized(ApiError):
    """No key, or one that is not known."""

    status = 401
    default_code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "a valid API key is needed, sent as `Authorization: Bearer KEY`",
            headers={"WWW-Authenticate": "Bearer"},
        )


class NotFound(ApiError):
    """There is no such route, model or voice; the message says what there is."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(ApiError):
    """The route exists, but not for this method."""

    status = 405
    default_code = "method_not_allowed"


class PayloadTooLarge(ApiError):
    """The body, or what it decodes to, is over a limit."""

    status = 413
    default_code = "payload_too_large"


class UnsupportedMedia(ApiError):
    """The body's content type, or the audio in it, is none that we read."""

    status = 415
    default_code = "unsupported_media_type"


class RateLimited(ApiError):
    """This gateway works on as many requests as it may."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": str(_RETRY_SECONDS)})


class ServerError(ApiError):
    """Our own fault: logged whole, told in general words."""

    status = 500
    type = "server_error"
    default_code = "internal_error"

    def __init__(self, message: str = "the server failed on this request; its log says why") -> None:
        super().__init__(message)


class Unavailable(ApiError):
    """The model is full, loading or out of reach; `retry_after` in seconds, where it is known."""

    status = 503
    type = "server_error"
    default_code = "unavailable"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after or _RETRY_SECONDS)})


class GatewayTimeout(ApiError):
    """A deadline passed before the model answered."""

    status = 504
    type = "server_error"
    default_code = "timeout"


class ErrorDetail(BaseModel):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """What every error answer holds."""

    error: ErrorDetail


def install(app: FastAPI) -> None:
    """Answer the framework's own errors (routing, parsing, validation) in our envelope."""
    app.add_exception_handler(HTTPException, _from_routing)
    app.add_exception_handler(RequestValidationError, _from_validation)


def _from_routing(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answers: dict[int, ApiError] = {
        404: NotFound(f"there is no {request.url.path}; /docs lists the routes"),
        405: MethodNotAllowed(f"{request.method} is not allowed on {request.url.path}", headers=error.headers),
    }
    return answers.get(error.status_code, BadRequest(f"the body cannot be read: {error.detail}")).response()


def _from_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where, *path = first["loc"]
    if first["type"] == "json_invalid":
        return BadRequest(f"the body is not JSON: {first['ctx']['error']} at character {path[0]}").response()
    if where == "body" and not path and isinstance(error.body, bytes):
        sent = request.headers.get("content-type", "none")
        return UnsupportedMedia(f"content type {sent!r} is not read here; send application/json").response()
    # Pydantic adds the branch of a union to the path; clients know the field alone.
    param = str(path[0]) if path else None
    message = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{param or 'body'}: {message}", param=param).response()
