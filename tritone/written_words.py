"""The words of a written text, as their times are reported: in order, and together the text again."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNSPACED: Final = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\U00020000-\U0003ffff]"
)
"""Characters of scripts without spaces between words: Chinese and Japanese, Thai, Lao, Burmese and Khmer."""
_BETWEEN: Final = "—…"
"""Marks that separate two words without a space."""


def written_words(text: str) -> list[str]:
    """Return the words of `text`, each with its punctuation, and with a space before it where the text has one.

    A character of a script without spaces is a word, as in transcripts. Each word has a letter or a digit; a text
    without any has no words. Together the words are the text, with single spaces and none at its ends.
    """
    words: list[str] = []
    for run in text.split():
        for index, piece in enumerate(_pieces(run)):
            spaced = f" {piece}" if words and not index else piece
            if words and not (_speaks(piece) and _speaks(words[-1])):  # marks alone belong to a word beside them
                words[-1] += spaced
            else:
                words.append(spaced)
    return words if words and _speaks(words[-1]) else []


def letters_of(word: str) -> str:
    """Return the letters and digits of a word, in lower case."""
    return "".join(character for character in word.casefold() if character.isalnum())


def _pieces(run: str) -> list[str]:
    """Return the words of a text without spaces, each with its marks."""
    pieces: list[str] = []
    unspaced = _UNSPACED.search(run)
    last = ""
    """The last letter or digit, or a mark of `_BETWEEN` after it."""
    for character in run:
        speaks = character.isalnum()
        apart = last and (last in _BETWEEN or _UNSPACED.match(last) or _UNSPACED.match(character))
        opens = last and unspaced and unicodedata.category(character) in ("Ps", "Pi")
        if not pieces or (apart and speaks) or opens:
            pieces.append(character)
            last = ""
        else:
            pieces[-1] += character
        if speaks or (last and character in _BETWEEN):
            last = character
    return pieces


def _speaks(text: str) -> bool:
    return any(map(str.isalnum, text))
