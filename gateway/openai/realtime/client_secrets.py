"""`POST /v1/realtime/client_secrets`: a short-lived key for a browser, with the configuration of its sessions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from gateway.client_secrets import ClientSecrets
from gateway.core.services import Services
from gateway.openai.conversation.config import DEFAULT_MODEL as CONVERSATION_MODEL
from gateway.openai.conversation.config import ConversationConfig
from gateway.openai.conversation.models import check_model, is_conversation_model
from gateway.openai.realtime.beta import flat, nested
from gateway.openai.realtime.protocol import ClientWarning, new_id
from gateway.openai.realtime.session_config import DEFAULT_MODEL, RealtimeConfig, SessionConfig, Settings
from gateway.request_context import GatewayServices, sent_keys
from tritone.errors import InvalidInput

CONVERSATION: Final = "realtime"
"""The type of conversations."""

_MOST_CHARS: Final = 4096
"""The longest secret; servers and proxies accept header lines of 8 KiB."""

router = APIRouter(prefix="/v1/realtime", tags=["realtime"])


class ExpiresAfter(BaseModel):
    """The time until a secret opens no more sessions."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(default=600, ge=10, le=7200)


class ClientSecretRequest(BaseModel):
    """The body of a request for a secret."""

    expires_after: ExpiresAfter | None = None
    session: dict[str, Any] | None = Field(None, description="Configuration of the sessions, as in `session.update`.")


@router.post("/client_secrets")
async def create_client_secret(body: ClientSecretRequest, request: Request, services: GatewayServices) -> Any:
    """Return a key that opens live sessions with this configuration until it expires."""
    session = body.session or {}
    config, warnings = configured(services, session)
    return answer(request, body, session, config, warnings)


@router.post("/transcription_sessions")
async def create_transcription_session(session: dict[str, Any], request: Request, services: GatewayServices) -> Any:
    """Return the same in the form of the API's beta."""
    config, _ = configured(services, {**session, "type": "transcription"})
    assert isinstance(config, SessionConfig)
    value, expires_at = _issue(request, session, ExpiresAfter().seconds)
    return {**flat(config), "client_secret": {"value": value, "expires_at": expires_at}}


def answer(
    request: Request,
    body: ClientSecretRequest,
    session: dict[str, Any],
    config: Settings,
    warnings: Sequence[ClientWarning],
) -> dict[str, Any]:
    """Return the answer with a secret of `session`; `config` is its whole configuration. Raises as `_issue`."""
    value, expires_at = _issue(request, session, (body.expires_after or ExpiresAfter()).seconds)
    fields = {"warnings": warnings} if warnings else {}
    return {"value": value, "expires_at": expires_at, "session": config.model_dump(), **fields}


def configured(
    services: Services, session: dict[str, Any], model: str = "", intent: str = ""
) -> tuple[RealtimeConfig, list[ClientWarning]]:
    """Return the configuration of a new session, and the warnings of `RealtimeConfig.updated`, with its errors.

    It is a conversation if `session` says so or, for a session without a type, `intent`, or else `model`.
    Raises `ModelNotFound` for the model of `session`.
    """
    settings = services.settings
    id_, expires_at = new_id("sess"), int(time.time() + settings.realtime_session_timeout)
    by_query = intent == CONVERSATION or (not intent and is_conversation_model(model, settings))
    if session["type"] == CONVERSATION if session.get("type") else by_query:
        conversation = ConversationConfig.new(id_, expires_at, model or CONVERSATION_MODEL)
        conversation, warnings = conversation.updated(session)
        check_model(conversation.model, settings)
        return conversation, warnings
    config = SessionConfig.new(id_, expires_at, model or DEFAULT_MODEL)
    config, warnings = config.updated(nested(session))
    if config.input.transcription:
        services.triton.served.resolve(config.input.transcription.model, "transcription")
    return config, warnings


def session_of_secret(connection: HTTPConnection) -> dict[str, Any]:
    """Return the configuration in the secret that a client sent as its key; empty for another key."""
    secrets: ClientSecrets = connection.app.state.client_secrets
    contents = (secrets.content(key) for key in sent_keys(connection.scope))
    return next((content["session"] for content in contents if content is not None), {})


def _issue(request: Request, session: dict[str, Any], seconds: int) -> tuple[str, int]:
    """Return a secret with a session's configuration, and when it expires. Raises `InvalidInput` for a long one."""
    secrets: ClientSecrets = request.app.state.client_secrets
    expires_at = int(time.time()) + seconds
    value = secrets.issue({"session": session}, expires_at)
    if len(value) > _MOST_CHARS:
        raise InvalidInput("session", "it is too long for a secret; send prompt and keywords with session.update")
    return value, expires_at
