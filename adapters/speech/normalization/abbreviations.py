"""Abbreviations written out, in the table abbreviations.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

_END = r"(?=\s+[A-ZÀ-Ý]|\s*$)"
_BEFORE = r"(?<![\w.\u0900-\u097f-])"
_AFTER = {
    "titles": r"\. ?(?=[A-ZÀ-Ý])",
    "numbered": r"\. ?(?=\d|[IVXLC]{1,8}\b|[A-Z]\b)",
    "words": rf"\.(?P<end>{_END})?(?!\w)",
}
"""Kind of abbreviation -> the pattern of its full stop and of the text after it."""

Replacement = str | Callable[[re.Match[str]], str]


def write_out(text: str, language: str) -> str:
    """Return `text` with the abbreviations of its language in full; the end of a sentence keeps its full stop."""
    for pattern, full in _rules(language):
        text = pattern.sub(full, text)
    return text


@cache
def _rules(language: str) -> list[tuple[re.Pattern[str], Replacement]]:
    table = tomllib.loads((Path(__file__).parent / "abbreviations.toml").read_text("utf-8")).get(language, {})
    rules: list[tuple[re.Pattern[str], Replacement]] = [
        (re.compile(pattern.replace("END", _END)), full) for pattern, full in table.items() if isinstance(full, str)
    ]
    return rules + [_plain(kind, table[kind]) for kind in _AFTER if kind in table]


def _plain(kind: str, entries: Mapping[str, str]) -> tuple[re.Pattern[str], Replacement]:
    """Return one rule for all entries of a kind."""
    full = {name.capitalize(): words.capitalize() for name, words in entries.items() if name.islower()} | dict(entries)
    names = "|".join(sorted(map(re.escape, full), key=len, reverse=True))

    def replace(match: re.Match[str]) -> str:
        words = full[match[1]]
        return words + "." * (match["end"] is not None) if kind == "words" else f"{words} "

    return re.compile(rf"{_BEFORE}({names}){_AFTER[kind]}"), replace
