"""The tokens and the languages that Zonos was trained with."""

from __future__ import annotations

import string
import tomllib
from pathlib import Path
from typing import Any, Final

from tritone.languages import NAMES

_DATA: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_UNKNOWN, _BEGIN, _END = 1, 2, 3
_SPECIAL: Final = 4

PUNCTUATION: Final[str] = _DATA["punctuation"]
_SYMBOLS: Final = PUNCTUATION + string.ascii_uppercase + string.ascii_lowercase + _DATA["phonemes"]
_IDS: Final = {symbol: number for number, symbol in enumerate(_SYMBOLS, _SPECIAL)}
SIZE: Final = _SPECIAL + len(_SYMBOLS)
"""The number of tokens."""
_UNREADABLE: Final = ("ja",)
"""Languages whose writing espeak-ng does not read: it has no reading of Japanese characters."""

LANGUAGES: Final = {
    code: name
    for code in NAMES
    if code not in _UNREADABLE and (name := _DATA["names"].get(code, code)) in _DATA["languages"]
}
"""Our code of a language -> espeak-ng's name of it."""


def token_ids(phonemes: str) -> list[int]:
    """Return the tokens of a text in phonemes, between those of its begin and its end."""
    return [_BEGIN, *(_IDS.get(symbol, _UNKNOWN) for symbol in phonemes), _END]


def language_number(code: str) -> int:
    """Return the number of one of `LANGUAGES`."""
    numbers: list[str] = _DATA["languages"]
    return numbers.index(LANGUAGES[code])
