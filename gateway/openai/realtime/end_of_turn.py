"""Whether a speaker is done, by what was said: the silence that ends a turn of `semantic_vad`."""

from __future__ import annotations

import re
import tomllib
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

Eagerness = Literal["low", "medium", "high", "auto"]

_TABLE: Final = Path(__file__).with_name("turn_endings.toml")
_WITHOUT_SPACES: Final = frozenset({"zh", "ja"})
_OF_SYLLABLES: Final = frozenset({"zh", "ja", "ko"})
"""Languages that join to a word what others write before or after it."""
_BETWEEN: Final = re.compile(r"[\s,;:.!?¿¡\"、，。]+")
_GOES_ON: Final = re.compile(r"(?:\.{2,}|[…,、，;；:：\-–—])$")
_STOP: Final = re.compile(r"[.!?。！？؟।]$")
_QUESTION: Final = re.compile(r"[?？؟]$")
_AROUND: Final = " \t\n\"'”’»«“„)]）】」』*♪"
"""What may stand behind the mark that ends a sentence."""


class Ending(IntEnum):
    """How a text ends; the later, the longer its speaker is given."""

    COMPLETE = 0
    UNCLEAR = 1
    UNFINISHED = 2


_WAIT_MS: Final[dict[Eagerness, tuple[int, int, int]]] = {
    "high": (300, 800, 2000),
    "medium": (600, 1600, 4000),
    "auto": (600, 1600, 4000),
    "low": (1000, 3000, 8000),
}
"""`eagerness` -> the silence after a text of each `Ending`; the longest are OpenAI's."""


class _Endings(BaseModel):
    """One language's part of the table."""

    model_config = ConfigDict(extra="forbid")

    always: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    final: tuple[str, ...] = ()


def silence_ms(eagerness: Eagerness, ending: Ending = Ending.UNFINISHED) -> int:
    """Return the silence, in ms, that ends a turn whose text ends so; the longest while its text is not known."""
    return _WAIT_MS[eagerness][ending]


def ending_of(text: str, language: str) -> Ending:
    """Return how a text ends; `language` is its ISO 639-1 code, or empty."""
    text = text.strip().rstrip(_AROUND)
    if _GOES_ON.search(text):
        return Ending.UNFINISHED
    stopped = bool(_STOP.search(text))
    spoken = re.sub(r"[^\w']+$", "", text).casefold().replace("’", "'")
    if not spoken:
        return Ending.UNCLEAR
    endings = _table().get(language, _Endings())
    question = _QUESTION.search(text)
    if not question and _ends_with(spoken, endings.always, words=language not in _WITHOUT_SPACES):
        return Ending.UNFINISHED
    if stopped or spoken.endswith(endings.final):
        return Ending.COMPLETE
    goes_on = _ends_with(spoken, endings.open, words=language not in _OF_SYLLABLES)
    return Ending.UNFINISHED if goes_on else Ending.UNCLEAR


def _ends_with(spoken: str, entries: tuple[str, ...], *, words: bool) -> bool:
    """Return whether a text ends with one of `entries`, if `words` as whole words."""
    return f" {_BETWEEN.sub(' ', spoken)}".endswith(tuple(f" {entry}" for entry in entries) if words else entries)


@cache
def _table() -> dict[str, _Endings]:
    return TypeAdapter(dict[str, _Endings]).validate_python(tomllib.loads(_TABLE.read_text(encoding="utf-8")))
