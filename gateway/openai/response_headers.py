"""The response headers that say which model served a request, and which of its fields had no effect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

MODEL: Final = "x-tritone-model"
IGNORED: Final = "x-tritone-ignored"
_MOST_IGNORED: Final = 16
"""The header lists at most so many fields."""
_MOST_CHARS: Final = 64
_CUT_ESCAPE: Final = re.compile(r"%.?$")


def model_headers(model: str, ignored: Sequence[str]) -> dict[str, str]:
    """Return the headers; field names are percent-encoded, and long ones are cut."""
    headers = {MODEL: model}
    if ignored:
        names = (quote(name[:_MOST_CHARS], safe="/[]", errors="replace") for name in ignored[:_MOST_IGNORED])
        # Three characters for a byte: a cut must not leave a part of an escape.
        headers[IGNORED] = ", ".join(_CUT_ESCAPE.sub("", name[: 2 * _MOST_CHARS]) for name in names)
    return headers


def documented(headers: dict[str, str]) -> dict[str, Any]:
    """Return `headers`, names and descriptions, as OpenAPI has them, with those of every response."""
    every = {MODEL: "The model that served the request.", IGNORED: "Fields that had no effect.", **headers}
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in every.items()}
