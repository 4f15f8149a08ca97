"""Routes whose endpoints take the request and its body, and nothing else."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from gateway import untrusted_json
from gateway.errors import BadRequest, UnsupportedMedia
from gateway.framework_errors import field_error
from gateway.request_context import services_of, until_disconnect

Body = TypeVar("Body", bound=BaseModel)

_JSON: Final = "application/json"


class BodyRoute(APIRoute):
    """A route whose endpoint has two parameters: the request, and a model of the fields that `read` returns.

    FastAPI documents the route, but does not call the endpoint: for each request it looks for all kinds of parameters
    anew, which takes longer than to read and validate the body.
    """

    request_class: ClassVar[type[Request]] = Request

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        (body,) = self.dependant.body_params
        self.model = cast(type[BaseModel], body.field_info.annotation)

    @abstractmethod
    async def read(self, request: Any) -> Any:
        """Return the fields of the body. Raises an `HttpError`."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request until its client disconnects, and close its files.

        Raises `BadRequest` for a field that is wrong, and `ClientDisconnect`.
        """
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = self.request_class(scope, receive)
        try:
            body = validated(self.model, await self.read(request))
            await until_disconnect(request, self._respond(request, body, send))
        finally:
            await request.close()

    async def _respond(self, request: Request, body: BaseModel, send: Send) -> None:
        response: Response = await self.endpoint(request, body)
        await response(request.scope, request.receive, send)


class JsonBodyRoute(BodyRoute):
    """A route whose body is JSON, with the limits of `untrusted_json`."""

    async def read(self, request: Request) -> Any:
        """Return the value of the body. Raises `BadRequest` and `UnsupportedMedia`."""
        content = await request.body()
        if not content:
            raise BadRequest("body: Field required")
        sent = request.headers.get("content-type", "none")
        kind = sent.partition(";")[0].strip().lower()
        if kind != _JSON and not (kind.startswith("application/") and kind.endswith("+json")):
            raise UnsupportedMedia(f"content type {sent!r} is not supported; send {_JSON}")
        try:
            return untrusted_json.parse(content, max_bytes=(await services_of(request)).settings.max_json_bytes)
        except untrusted_json.MalformedJson as error:
            raise BadRequest(f"body: {error}") from None


def validated(model: type[Body], fields: Any) -> Body:
    """Return the model of `fields`. Raises `BadRequest` with the first field that is wrong."""
    try:
        # From attributes: the error about a value without fields then names no class of ours.
        return model.model_validate(fields, from_attributes=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise field_error(first, first["loc"]) from None
