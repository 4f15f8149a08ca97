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
    """Return the headers of a response that a model made."""
    return {MODEL: model, **ignored_header(ignored)}


def ignored_header(names: Sequence[str]) -> dict[str, str]:
    """Return the header with the names of fields without effect, percent-encoded, long ones cut; none without names."""
    if not names:
        return {}
    encoded = (quote(name[:_MOST_CHARS], safe="/[]", errors="replace") for name in names[:_MOST_IGNORED])
    # Three characters for a byte: a cut must not leave a part of an escape.
    return {IGNORED: ", ".join(_CUT_ESCAPE.sub("", name[: 2 * _MOST_CHARS]) for name in encoded)}


def documented(headers: dict[str, str]) -> dict[str, Any]:
    """Return `headers`, names and descriptions, as OpenAPI has them, with those of every response."""
    every = {MODEL: "The model that served the request.", IGNORED: "Fields that had no effect.", **headers}
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in every.items()}
