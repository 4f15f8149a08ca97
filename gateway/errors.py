"""The errors of HTTP responses, and the one function that maps the errors of the use cases to them.

HttpError                    status   type                    code
|-- BadRequest                  400   invalid_request_error   -
|-- Unauthorized                401   invalid_request_error   invalid_api_key
|-- Forbidden                   403   invalid_request_error   forbidden
|-- NotFound                    404   invalid_request_error   not_found, model_not_found
|-- MethodNotAllowed            405   invalid_request_error   method_not_allowed
|-- NotAcceptable               406   invalid_request_error   not_acceptable
|-- RequestTimeout              408   invalid_request_error   request_timeout
|-- Conflict                    409   invalid_request_error   conflict
|-- BodyTooLarge                413   invalid_request_error   payload_too_large
|-- UnsupportedMedia            415   invalid_request_error   unsupported_media_type
|-- RateLimited                 429   rate_limit_error        rate_limit_exceeded    Retry-After
|-- HeadersTooLarge             431   invalid_request_error   headers_too_large
|-- ServerError                 500   server_error            internal_error
|-- NotSetUp                    501   server_error            not_set_up
|-- BadGateway                  502   server_error            bad_gateway
|-- Unavailable                 503   server_error            unavailable            Retry-After
|-- GatewayTimeout              504   server_error            timeout                Retry-After
`-- InsufficientStorage         507   server_error            storage_full           Retry-After
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gateway.core.errors import (
    ContextExceeded,
    DeadlineExceeded,
    InternalError,
    JobConflict,
    JobNotFound,
    JobsUnavailable,
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelMissing,
    LanguageModelRefused,
    LanguageModelRejected,
    ModelNotFound,
    ModelUnavailable,
    PayloadTooLarge,
    ResultsUnavailable,
    ServiceError,
    StorageFull,
    TooManyRequests,
    UsageUnavailable,
    VoiceConflict,
    VoiceNotFound,
    VoicesUnavailable,
)
from tritone.errors import InvalidInput

_RETRY_SECONDS: Final = 1
"""The Retry-After header where no better estimate is known."""
_STORAGE_RETRY_SECONDS: Final = 30

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

logger = logging.getLogger(__name__)


class HttpError(Exception):
    """An error response; `param` is the field that is wrong, `message` says how to correct it."""

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
        cause: str = "",
    ) -> None:
        """`cause` is for the metrics, one of few words; by default the code."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.headers = dict(headers or {})
        self.cause = cause or self.code or "invalid_request"

    def body(self) -> dict[str, Any]:
        """Return OpenAI's envelope, with all four keys."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class BadRequest(HttpError):
    """A field is missing, of the wrong type or out of range."""

    status = 400


class Unauthorized(HttpError):
    """The request has no valid API key."""

    status = 401
    default_code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "a valid API key is needed, sent as `Authorization: Bearer KEY`",
            headers={"WWW-Authenticate": "Bearer"},
        )


class Forbidden(HttpError):
    """The request may come from a web page that is not allowed to use this server."""

    status = 403
    default_code = "forbidden"


class NotFound(HttpError):
    """The route or model does not exist; the message lists those that do."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(HttpError):
    """The route does not support this method."""

    status = 405
    default_code = "method_not_allowed"


class NotAcceptable(HttpError):
    """The response cannot have any of the types that the client accepts."""

    status = 406
    default_code = "not_acceptable"

    def __init__(self, accept: str, offers: Sequence[str]) -> None:
        super().__init__(f"Accept: {accept[:100]!r} is not possible here; choose {', '.join(offers)}")


class RequestTimeout(HttpError):
    """The client sends its request too slowly."""

    status = 408
    default_code = "request_timeout"


class Conflict(HttpError):
    """The state of the resource, or an earlier request, does not allow the request."""

    status = 409
    default_code = "conflict"


class BodyTooLarge(HttpError):
    """The body, or the audio in it, is over a limit."""

    status = 413
    default_code = "payload_too_large"


class UnsupportedMedia(HttpError):
    """The route does not read this content type."""

    status = 415
    default_code = "unsupported_media_type"


class RateLimited(HttpError):
    """This gateway is at capacity, or the caller has its share of it; `retry_after` is in seconds."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: int = _RETRY_SECONDS, cause: str = "") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)}, cause=cause)


class HeadersTooLarge(HttpError):
    """The request line and the headers are over the limit."""

    status = 431
    default_code = "headers_too_large"


class ServerError(HttpError):
    """A fault of the server; the client gets a general message, the log the details."""

    status = 500
    type = "server_error"
    default_code = "internal_error"


class NotSetUp(HttpError):
    """The operator has not set up what the route needs."""

    status = 501
    type = "server_error"
    default_code = "not_set_up"


class BadGateway(HttpError):
    """A service behind this one failed."""

    status = 502
    type = "server_error"
    default_code = "bad_gateway"


class Unavailable(HttpError):
    """The model is at capacity, loading or out of reach; `retry_after` is in seconds."""

    status = 503
    type = "server_error"
    default_code = "unavailable"

    def __init__(self, message: str, *, retry_after: int | None = None, cause: str = "") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after or _RETRY_SECONDS)}, cause=cause)


class GatewayTimeout(HttpError):
    """A deadline has passed; `retry_after` is in seconds."""

    status = 504
    type = "server_error"
    default_code = "timeout"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message, code=code, headers={"Retry-After": str(retry_after or _RETRY_SECONDS)})


class InsufficientStorage(HttpError):
    """The disk for uploads and whole responses is full."""

    status = 507
    type = "server_error"
    default_code = "storage_full"

    def __init__(self) -> None:
        super().__init__(
            "the server's disk has no room for the files of this request at present; try again",
            headers={"Retry-After": str(_STORAGE_RETRY_SECONDS)},
        )


class ErrorDetail(BaseModel):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """The body of every error response."""

    error: ErrorDetail


def http_error(error: Exception, field_names: Mapping[str, str]) -> HttpError:
    """Return the HTTP form of any error.

    `field_names` maps the fields of the use cases and models to the surface's own, where they differ. An error of an
    unknown class is logged with its traceback.
    """
    answer: HttpError
    match error:
        case HttpError():
            answer = error
        case InvalidInput() | PayloadTooLarge():
            name = field_names.get(error.field, error.field)
            kind = BadRequest if isinstance(error, InvalidInput) else BodyTooLarge
            answer = kind(f"{name}: {error.problem}", param=name)
        case VoiceConflict():
            name = field_names.get(error.field, error.field)
            answer = Conflict(f"{name}: {error.problem}", param=name)
        case ModelNotFound():
            answer = NotFound(error.message, param="model", code="model_not_found")
        case ModelUnavailable():
            answer = Unavailable(error.message, retry_after=error.retry_after, cause=error.cause)
        case TooManyRequests():
            answer = RateLimited(error.message, retry_after=error.retry_after, cause="caller_share")
        case DeadlineExceeded():
            answer = GatewayTimeout(error.message)
        case OSError() if error.errno in _NO_ROOM:
            logger.error("a file of a request could not be stored: %s", error.strerror)
            answer = InsufficientStorage()
        case (
            LanguageModelMissing()
            | LanguageModelFailed()
            | LanguageModelBusy()
            | LanguageModelRefused()
            | LanguageModelRejected()
            | ContextExceeded()
        ):
            answer = _language_model_error(error)
        case (
            JobNotFound()
            | JobConflict()
            | JobsUnavailable()
            | ResultsUnavailable()
            | StorageFull()
            | UsageUnavailable()
            | VoiceNotFound()
            | VoicesUnavailable()
        ):
            answer = _stored_error(error)
        case InternalError():
            answer = ServerError(error.message)
        case _:
            logger.error("request failed", exc_info=error)
            answer = ServerError(InternalError().message)
    return answer


def _language_model_error(
    error: LanguageModelMissing
    | LanguageModelFailed
    | LanguageModelBusy
    | LanguageModelRefused
    | LanguageModelRejected
    | ContextExceeded,
) -> HttpError:
    match error:
        case LanguageModelMissing():
            return NotSetUp(error.message)
        case LanguageModelFailed():
            logger.error("%s: %s", error.message, error.detail)
            return BadGateway(error.message)
        case LanguageModelBusy():
            return Unavailable(error.message, retry_after=error.retry_after)
        case LanguageModelRefused():
            return BadRequest(error.message, code="content_filter")
        case LanguageModelRejected():
            return BadRequest(error.message, param=error.field, code=error.code)
        case ContextExceeded():
            return BadRequest(error.message, code="context_length_exceeded")


def _stored_error(error: ServiceError) -> HttpError:
    """Return the HTTP form of an error about jobs, voices or consents."""
    match error:
        case JobNotFound() | VoiceNotFound():
            return NotFound(error.message)
        case JobConflict():
            return Conflict(error.message)
    logger.error("%s (%s)", error.message, error.detail)
    return InsufficientStorage() if isinstance(error, StorageFull) else Unavailable(error.message)


def openai_response(error: HttpError) -> JSONResponse:
    """Return the error response in OpenAI's form."""
    return JSONResponse(error.body(), error.status, error.headers)
