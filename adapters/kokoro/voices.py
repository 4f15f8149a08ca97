"""Kokoro's voices, and which of them speaks what."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritone.contract import Voice
from tritone.errors import InvalidInput
from tritone.languages import NAMES

LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt", "z": "zh"}
"""A voice name's first letter -> its language. Japanese (`j`) is left out: nothing here turns it into phonemes."""
DEFAULT_VOICE = "af_heart"

_STYLE_WIDTH = 256
_SCRIPTS = {"LATIN": None, "CJK": "zh", "DEVANAGARI": "hi"}
"""The scripts that are spoken, by the first word of a letter's Unicode name, and the language that each settles."""
_KANA = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")
_HAN_WEIGHT = 6
"""One Chinese character says as much as this many letters of an alphabet."""


@dataclass(frozen=True)
class Choice:
    """Who speaks, and what."""

    voice: str
    language: str
    """ISO 639-1."""

    @property
    def accent(self) -> str:
        """The language in espeak-ng's words, as the voice speaks it; `zh` is not espeak's."""
        if self.language == "en":
            return "en-gb" if self.voice[0] == "b" else "en-us"
        return {"fr": "fr-fr", "pt": "pt-br"}.get(self.language, self.language)


class Voices:
    """The voices of a checkpoint's `voices` folder."""

    def __init__(self, folder: Path) -> None:
        """Read every voice that can be spoken; raises `FileNotFoundError` or `ValueError`, naming the file."""
        if not (folder / f"{DEFAULT_VOICE}.bin").is_file():
            raise FileNotFoundError(f"{folder / DEFAULT_VOICE}.bin is missing; scripts/fetch_models brings it")
        self._styles = {path.stem: _read(path) for path in sorted(folder.glob("*.bin")) if path.stem[0] in LANGUAGES}

    def list(self) -> tuple[Voice, ...]:
        """Every voice, in the order of the alphabet."""
        return tuple(
            Voice(id=id_, name=id_.partition("_")[2].capitalize(), language=LANGUAGES[id_[0]]) for id_ in self._styles
        )

    def style(self, voice: str, tokens: int) -> NDArray[np.float32]:
        """The voice's style for an utterance of so many phonemes, shape [1, 256]."""
        rows = self._styles[voice]
        style: NDArray[np.float32] = rows[min(tokens, len(rows) - 1)]
        return style

    def choose(self, text: str, voice: str, language: str) -> Choice:
        """Who speaks `text` in which language, where the caller may have named either (`""`, `auto`: not).

        The text's script goes before the voice's own language: an English voice reads Chinese text as Chinese.
        Raises `InvalidInput` for a script that is not spoken.
        """
        written = language_of_script(text)
        if language == "auto":
            language = written or (LANGUAGES[voice[0]] if voice else "en")
        return Choice(voice or self._first(language), language)

    def _first(self, language: str) -> str:
        if language == LANGUAGES[DEFAULT_VOICE[0]]:
            return DEFAULT_VOICE
        return next((id_ for id_ in self._styles if LANGUAGES[id_[0]] == language), DEFAULT_VOICE)


def language_of_script(text: str) -> str | None:
    """The language that the script of most of `text` settles; None for Latin letters, which settle none.

    Raises `InvalidInput` for a script that is not spoken, such as Hangul.
    """
    letters = Counter(unicodedata.name(c, "?").split()[0] for c in unicodedata.normalize("NFKC", text) if c.isalpha())
    kana = sum(letters.pop(script, 0) for script in _KANA)
    if kana * 5 > letters["CJK"]:
        letters["JAPANESE"] = (kana + letters.pop("CJK", 0)) * _HAN_WEIGHT
    letters["CJK"] *= _HAN_WEIGHT
    script, count = letters.most_common(1)[0]
    if not count:
        return None
    if script not in _SCRIPTS:
        spoken = ", ".join(NAMES[code].title() for code in dict.fromkeys(LANGUAGES.values()))
        raise InvalidInput("text", f"is in {script.title()} script; this model speaks {spoken}")
    return _SCRIPTS[script]


def _read(path: Path) -> NDArray[np.float32]:
    values = np.fromfile(path, dtype="<f4")
    if values.size == 0 or values.size % _STYLE_WIDTH or not np.isfinite(values).all():
        raise ValueError(f"{path} is not a voice: rows of {_STYLE_WIDTH} numbers were expected")
    return values.reshape(-1, 1, _STYLE_WIDTH)
