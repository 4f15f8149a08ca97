"""Abbreviations written out, in the table abbreviations.toml."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

_END = r"(?=\s+[A-ZÀ-Ý]|\s*$)"


def write_out(text: str, language: str) -> str:
    """Return `text` with the abbreviations of its language in full; the end of a sentence keeps its full stop."""
    for pattern, full in _rules(language):
        text = pattern.sub(full, text)
    return text


@cache
def _rules(language: str) -> list[tuple[re.Pattern[str], str]]:
    table = tomllib.loads((Path(__file__).parent / "abbreviations.toml").read_text("utf-8"))
    return [(re.compile(pattern.replace("END", _END)), full) for pattern, full in table.get(language, {}).items()]
