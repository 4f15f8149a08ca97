"""`/v1/organization/usage`: the usage of each API key, for the key of the administrator."""

from __future__ import annotations

import hmac
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from gateway.core.api_keys import key_ids
from gateway.core.usage.report import GroupBy, UsageQuestion, report_usage
from gateway.core.usage.usage import UsageKind
from gateway.errors import BadRequest, NotSetUp, Unauthorized
from gateway.framework_errors import field_error
from gateway.openai.usage.protocol import LIMITS, WIDTHS, SpeechUsage, TranscriptionUsage, UsagePage, UsageQuery
from gateway.request_context import GatewayServices, sent_keys

SPEECHES: Final = "/v1/organization/usage/audio_speeches"
TRANSCRIPTIONS: Final = "/v1/organization/usage/audio_transcriptions"
PATHS: Final = frozenset({SPEECHES, TRANSCRIPTIONS})
"""Paths that need no API key: these routes check the administrator's."""

_LISTS: Final = frozenset(name for name, field in UsageQuery.model_fields.items() if field.default == [])
_PARAMETERS: Final[dict[str, Any]] = {
    "parameters": [
        {"name": name, "in": "query", "required": name == "start_time", "schema": schema}
        for name, schema in UsageQuery.model_json_schema()["properties"].items()
    ]
}


async def check_admin(request: Request, services: GatewayServices) -> None:
    """Dependency: raise `Unauthorized` without ADMIN_KEY, and `NotSetUp` where there is none."""
    secret = services.settings.admin_key.get_secret_value().encode()
    if not secret:
        raise NotSetUp("the usage is not shown here: the setting ADMIN_KEY is empty")
    if not any([hmac.compare_digest(key.encode("latin-1"), secret) for key in sent_keys(request.scope)]):
        raise Unauthorized


async def read_query(request: Request) -> UsageQuery:
    """Dependency: the query. Raises `BadRequest`."""
    fields: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        plain = name.removesuffix("[]")
        if plain in _LISTS:
            fields.setdefault(plain, []).append(value)
        else:
            fields[name] = value
    try:
        return UsageQuery.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            message = first["msg"].removeprefix("Value error, ")
            raise BadRequest(message, param=message.partition(":")[0]) from None
        raise field_error(first, first["loc"]) from None


Query = Annotated[UsageQuery, Depends(read_query)]

router = APIRouter(tags=["usage"], dependencies=[Depends(check_admin)])


@router.get(SPEECHES, openapi_extra=_PARAMETERS)
async def speech_usage(services: GatewayServices, query: Query) -> UsagePage:
    """Return the characters and requests of speech in each bucket."""
    return await _page(services, query, "speech", SpeechUsage)


@router.get(TRANSCRIPTIONS, openapi_extra=_PARAMETERS)
async def transcription_usage(services: GatewayServices, query: Query) -> UsagePage:
    """Return the seconds and requests of transcription in each bucket."""
    return await _page(services, query, "transcription", TranscriptionUsage)


async def _page(
    services: GatewayServices, query: UsageQuery, kind: UsageKind, result: type[SpeechUsage | TranscriptionUsage]
) -> UsagePage:
    groups: list[GroupBy] = [name for name in ("api_key_id", "model") if name in query.group_by]
    question = UsageQuestion(
        kind,
        query.begin,
        query.end_time or int(time.time()) + 1,
        WIDTHS[query.bucket_width],
        query.limit or LIMITS[query.bucket_width][0],
        groups,
        query.api_key_ids,
        query.models,
    )
    return UsagePage.of(await report_usage(services.usage, question, key_ids(services.settings)), result)
