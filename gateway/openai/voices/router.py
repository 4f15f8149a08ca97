"""`/v1/audio/voices` and `/v1/audio/voice_consents`. The list of voices is beside the list of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.audio.formats import MEDIA_TYPES
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.voices import use_cases
from gateway.core.voices.design import design_voice
from gateway.core.voices.voice import VoiceOrder
from gateway.forms import FORM
from gateway.json_route import JsonOnlyRoute, JsonRoute
from gateway.openai.response_headers import documented, ignored_header
from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.speech.serving import respond
from gateway.openai.transcription.form_reader import FormRoute
from gateway.openai.voices.protocol import (
    VoiceConsent,
    VoiceConsentDeleted,
    VoiceConsentList,
    VoiceDeleted,
    VoiceResource,
)
from gateway.openai.voices.requests import (
    ConsentForm,
    ConsentUpdate,
    PreviewBody,
    PromptBody,
    PromptFields,
    VoiceForm,
    content_of,
)
from gateway.request_context import Client, GatewayServices, Telemetry, until_disconnect
from gateway.streaming import StreamedResponse

_VOICES: Final = "/v1/audio/voices"
_CONSENTS: Final = "/v1/audio/voice_consents"
_JSON: Final[dict[str, Any]] = {
    "requestBody": {"content": {"application/json": {"schema": PromptBody.model_json_schema()}}, "required": True}
}
_MADE: Final[dict[int | str, dict[str, Any]]] = {200: {"headers": documented({})}}
_AUDIO: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()}}
}

router = APIRouter(tags=["voices"])
_json_voices = APIRouter(route_class=JsonOnlyRoute)
_forms = APIRouter(route_class=FormRoute)
_plain = APIRouter(route_class=JsonRoute)


@_json_voices.post(_VOICES, response_model_exclude_none=True, include_in_schema=False)
async def create_designed_voice(
    request: Request, body: PromptBody, services: GatewayServices, telemetry: Telemetry
) -> VoiceResource:
    """Register a voice that a model designs (JSON)."""
    return await until_disconnect(request, _designed(services, body, telemetry))


@_forms.post(_VOICES, response_model_exclude_none=True, responses=_MADE, openapi_extra=_JSON)
async def create_voice(
    request: Request,
    form: Annotated[VoiceForm, Form(media_type=FORM)],
    services: GatewayServices,
    telemetry: Telemetry,
    response: Response,
) -> VoiceResource:
    """Register the voice in a recording (a form), or one that a model designs from text (a form or JSON)."""
    response.headers.update(ignored_header(_unknown(await request.form(), VoiceForm)))
    if form.type == "prompt":
        return await until_disconnect(request, _designed(services, form, telemetry))
    assert form.audio_sample
    order = VoiceOrder(
        telemetry.owner, form.name, form.consent or "", form.ref_text or "", x_vector_only=form.x_vector_only
    )
    file = await content_of(form.audio_sample, "audio_sample", services.settings.max_voice_bytes)
    voice = await until_disconnect(request, use_cases.register_voice(services, order, file, telemetry))
    return VoiceResource.of(voice)


@_plain.get(_VOICES + "/{voice_id}", response_model_exclude_none=True)
async def get_voice(voice_id: str, services: GatewayServices, client: Client) -> VoiceResource:
    """Return a registered voice, by its id or its name."""
    return VoiceResource.of(await use_cases.get_voice(services, client, voice_id))


@_plain.delete(_VOICES + "/{voice_id}")
async def delete_voice(voice_id: str, services: GatewayServices, client: Client) -> VoiceDeleted:
    """Remove a registered voice with everything that was stored for it."""
    return VoiceDeleted(id=(await use_cases.delete_voice(services, client, voice_id)).id)


@_plain.post(_VOICES + "/{voice_id}/preview", response_class=StreamingResponse, responses=_AUDIO)
async def preview_voice(
    request: Request,
    voice_id: str,
    services: GatewayServices,
    telemetry: Telemetry,
    body: PreviewBody | None = None,
) -> StreamedResponse:
    """Speak a short text in a registered voice."""
    wanted = body or PreviewBody.model_validate({})
    voice = await use_cases.get_voice(services, telemetry.owner, voice_id)
    speech = SpeechBody.model_validate({**wanted.model_dump(), "voice": voice.id})
    return await until_disconnect(request, respond(services, speech, telemetry))


@_forms.post(_CONSENTS)
async def create_consent(
    request: Request,
    form: Annotated[ConsentForm, Form(media_type=FORM)],
    services: GatewayServices,
    client: Client,
    response: Response,
) -> VoiceConsent:
    """Keep a recording in which a speaker agrees to the use of their voice."""
    response.headers.update(ignored_header(_unknown(await request.form(), ConsentForm)))
    file = await content_of(form.recording, "recording", services.settings.max_voice_bytes)
    made = use_cases.register_consent(services, client, form.name, form.language, file)
    return VoiceConsent.of(await until_disconnect(request, made))


@_plain.get(_CONSENTS)
async def list_consents(
    services: GatewayServices,
    client: Client,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str, Query(description="The id of the last consent of the page before.")] = "",
) -> VoiceConsentList:
    """List the consents of the key, the oldest first."""
    found = await use_cases.list_consents(services, client)
    if after:
        last = await use_cases.get_consent(services, client, after)
        found = [each for each in found if (each.created, each.id) > (last.created, last.id)]
    page = [VoiceConsent.of(consent) for consent in found[:limit]]
    first, last_id = (page[0].id, page[-1].id) if page else (None, None)
    return VoiceConsentList(data=page, first_id=first, last_id=last_id, has_more=len(found) > limit)


@_plain.get(_CONSENTS + "/{consent_id}")
async def get_consent(consent_id: str, services: GatewayServices, client: Client) -> VoiceConsent:
    """Return a consent."""
    return VoiceConsent.of(await use_cases.get_consent(services, client, consent_id))


@_plain.post(_CONSENTS + "/{consent_id}")
async def update_consent(
    consent_id: str, body: ConsentUpdate, services: GatewayServices, client: Client
) -> VoiceConsent:
    """Give a consent another name."""
    return VoiceConsent.of(await use_cases.rename_consent(services, client, consent_id, body.name))


@_plain.delete(_CONSENTS + "/{consent_id}")
async def delete_consent(consent_id: str, services: GatewayServices, client: Client) -> VoiceConsentDeleted:
    """Remove a consent and its recording; the voices that need it must be deleted before."""
    await use_cases.delete_consent(services, client, consent_id)
    return VoiceConsentDeleted(id=consent_id)


async def _designed(services: Services, fields: PromptFields, telemetry: WorkTelemetry) -> VoiceResource:
    voice = await design_voice(
        services,
        telemetry.owner,
        fields.name,
        fields.prompt or "",
        telemetry,
        script=fields.script_hint or "",
        model=fields.model or "",
    )
    return VoiceResource.of(voice)


def _unknown(sent: Any, form: type[VoiceForm | ConsentForm]) -> Sequence[str]:
    """Return the names of the sent fields that the form does not have."""
    return [name for name in dict.fromkeys(sent) if name not in form.model_fields]


for _part in (_json_voices, _forms, _plain):
    router.include_router(_part)
