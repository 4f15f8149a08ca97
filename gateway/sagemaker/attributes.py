"""Options outside the body: SageMaker passes one header on, and strips all others and the query.

The header's value is a query string, `language=ko&response_format=srt`; commas separate too. What is not of that form
is left alone: callers also put identifiers there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from fastapi import Request

from gateway.openai.response_headers import IGNORED, MODEL

HEADER: Final = "x-amzn-sagemaker-custom-attributes"
_MOST_CHARS: Final = 1024
"""The longest value that SageMaker passes on."""
_REPORTED: Final = {MODEL: "model", IGNORED: "ignored"}


def options_of(request: Request) -> list[tuple[str, str]]:
    """Return the options of the header, and those of the query that the header lacks."""
    sent = parse_qsl(request.headers.get(HEADER, "").replace(",", "&"), errors="replace")
    names = {name for name, _ in sent}
    return sent + [(name, value) for name, value in request.query_params.multi_items() if name not in names]


def reported(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header that shows the caller which model served the request, and which fields had no effect."""
    return {HEADER: urlencode({name: headers[own] for own, name in _REPORTED.items() if own in headers})[:_MOST_CHARS]}
