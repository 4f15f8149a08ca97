"""`POST /v1/realtime/calls`: a live session over WebRTC, from the client's offer to its hang-up."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from gateway import untrusted_json
from gateway.errors import BadRequest, NotSetUp, UnsupportedMedia
from gateway.forms import FORM
from gateway.openai.conversation.config import ConversationConfig
from gateway.openai.realtime.client_secrets import configured, session_of_secret
from gateway.openai.webrtc.calls import Calls
from gateway.openai.webrtc.ice_servers import is_relayed
from gateway.openai.webrtc.offer import FIELD, MOST_BYTES, checked_offer
from gateway.request_context import Client, GatewayServices, Telemetry
from tritone.errors import InvalidInput

PATH: Final = "/v1/realtime/calls"
_SDP: Final = "application/sdp"
_MOST_SESSION_BYTES: Final = 256 * 1024
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            _SDP: {"schema": {"type": "string", "description": "The offer; the key may hold the session."}},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {"type": "string", "description": "The offer."},
                        "session": {"type": "string", "description": "Configuration, as in `session.update`; JSON."},
                    },
                }
            },
        },
    }
}
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "The answer",
        "content": {_SDP: {"schema": {"type": "string"}}},
        "headers": {"Location": {"description": "The path of the call.", "schema": {"type": "string"}}},
    }
}

router = APIRouter(tags=["realtime"])


@router.post(PATH, status_code=201, response_class=Response, openapi_extra=_BODY, responses=_ANSWER)
@router.post(
    "/v1/realtime", status_code=201, response_class=Response, openapi_extra=_BODY, responses=_ANSWER, deprecated=True
)
async def create_call(
    request: Request, services: GatewayServices, telemetry: Telemetry, intent: str = "", model: str = ""
) -> Response:
    """Begin a call: the answer has the peer connection's description, and the call's path in `Location`."""
    if not services.settings.webrtc:
        raise NotSetUp("WebRTC is not set up on this server: it needs WEBRTC=1; WebSockets are served at /v1/realtime")
    sdp, session = await _read(request)
    offer = checked_offer(sdp, keeps_addresses=is_relayed(services.settings))
    config, _ = configured(services, session_of_secret(request) if session is None else session, model, intent)
    if isinstance(config, ConversationConfig):
        services.language_model.check()
    calls: Calls = request.app.state.calls
    id_, answer = await calls.begin(
        services,
        offer,
        config,
        telemetry.part(),
        request.state.take_session(),
        beta_events="realtime=v1" in request.headers.get("openai-beta", ""),
    )
    return Response(answer, 201, {"Location": f"{PATH}/{id_}"}, media_type=_SDP)


@router.post(PATH + "/{call_id}/hangup")
async def hang_up(call_id: str, request: Request, client: Client) -> Response:
    """End a call."""
    calls: Calls = request.app.state.calls
    await calls.hang_up(call_id, client)
    return Response()


async def _read(request: Request) -> tuple[bytes, dict[str, Any] | None]:
    """Return the offer, and the session's configuration, if there is one. Raises `HttpError` and `InvalidInput`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _SDP:
        return await request.body(), None
    if kind != FORM:
        raise UnsupportedMedia(f"Content-Type: {kind[:100]!r}; send the offer as {_SDP}, or {FORM} with `{FIELD}`")
    async with request.form(max_files=2, max_fields=8, max_part_size=_MOST_SESSION_BYTES) as form:
        sdp, session = [await _field(form.get(name)) for name in (FIELD, "session")]
    if sdp is None:
        raise BadRequest(f"{FIELD}: it is missing", param=FIELD)
    if session is None:
        return sdp, None
    try:
        return sdp, untrusted_json.parse_object(session, max_bytes=_MOST_SESSION_BYTES)
    except untrusted_json.MalformedJson as error:
        raise InvalidInput("session", str(error)) from None


async def _field(part: UploadFile | str | None) -> bytes | None:
    """Return a part of the form, as far as it may be long; some clients send it as a file."""
    if isinstance(part, UploadFile):
        return await part.read(max(MOST_BYTES, _MOST_SESSION_BYTES) + 1)
    return None if part is None else part.encode()
