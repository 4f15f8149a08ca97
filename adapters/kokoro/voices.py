"""Kokoro's voices, and the choice of voice and language for a text."""

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
from tritone.voice_mix import shares_of

LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt", "z": "zh"}
"""A voice name's first letter -> its language. Japanese (`j`) is left out: there is no phonemizer for it here."""
DEFAULT_VOICE = "af_heart"

_STYLE_WIDTH = 256
_SCRIPTS = {"LATIN": None, "CJK": "zh", "DEVANAGARI": "hi"}
"""Supported scripts, by the first word of a letter's Unicode name, and the language that each implies."""
_KANA = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")
_HAN_WEIGHT = 6
"""One Chinese character counts as so many letters of an alphabet."""


@dataclass(frozen=True)
class VoiceSelection:
    """The voice and the language of a text."""

    voice: str
    """A voice, or a mix; the first voice of a mix gives the accent."""
    language: str
    """ISO 639-1."""

    @property
    def accent(self) -> str:
        """The voice's variety of the language, as espeak-ng names it; `zh` is not espeak-ng's."""
        if self.language == "en":
            return "en-gb" if self.voice[0] == "b" else "en-us"
        return {"fr": "fr-fr", "pt": "pt-br"}.get(self.language, self.language)


class VoiceStyles:
    """The voices of a checkpoint's `voices` folder."""

    def __init__(self, folder: Path) -> None:
        """Read every voice of a supported language; raises `FileNotFoundError` or `ValueError` with the file's path."""
        if not (folder / f"{DEFAULT_VOICE}.bin").is_file():
            raise FileNotFoundError(f"{folder / DEFAULT_VOICE}.bin is missing; run scripts/fetch_models")
        self._styles = {path.stem: _read(path) for path in sorted(folder.glob("*.bin")) if path.stem[0] in LANGUAGES}

    def list(self) -> tuple[Voice, ...]:
        """Return every voice in alphabetical order."""
        return tuple(
            Voice(id=id_, name=id_.partition("_")[2].capitalize(), language=LANGUAGES[id_[0]]) for id_ in self._styles
        )

    def style(self, voice: str, tokens: int) -> NDArray[np.float32]:
        """Return the style of a voice, or of a mix of voices, for a piece of `tokens` phonemes, shape [1, 256]."""
        style = np.zeros((1, _STYLE_WIDTH), np.float32)
        for name, share in shares_of(voice).items():
            rows = self._styles[name]
            style += np.float32(share) * rows[min(tokens, len(rows) - 1)]
        return style

    def select(self, text: str, voice: str, language: str) -> VoiceSelection:
        """Return the voice and the language for `text`; `""` and `auto` leave the choice to the text.

        The text's script comes before the voice's own language: an English voice reads Chinese text as Chinese.
        Raises `InvalidInput` for an unsupported script.
        """
        written = language_of_script(text)
        if language == "auto":
            language = written or (LANGUAGES[voice[0]] if voice else "en")
        return VoiceSelection(voice or self._first(language), language)

    def _first(self, language: str) -> str:
        if language == LANGUAGES[DEFAULT_VOICE[0]]:
            return DEFAULT_VOICE
        return next((id_ for id_ in self._styles if LANGUAGES[id_[0]] == language), DEFAULT_VOICE)


def language_of_script(text: str) -> str | None:
    """Return the language of the most frequent script in `text`; None for Latin letters, which many languages share.

    Raises `InvalidInput` for an unsupported script, such as Hangul.
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
        supported = ", ".join(NAMES[code].title() for code in dict.fromkeys(LANGUAGES.values()))
        raise InvalidInput("text", f"is in {script.title()} script; this model supports {supported}")
    return _SCRIPTS[script]


def _read(path: Path) -> NDArray[np.float32]:
    values = np.fromfile(path, dtype="<f4")
    if values.size == 0 or values.size % _STYLE_WIDTH or not np.isfinite(values).all():
        raise ValueError(f"{path} is not a voice: expected rows of {_STYLE_WIDTH} finite numbers")
    return values.reshape(-1, 1, _STYLE_WIDTH)
