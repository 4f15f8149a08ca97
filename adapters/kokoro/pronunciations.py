"""Words whose pronunciation a text gives: each is one letter until the text is normalized and split."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from adapters.kokoro.word_spans import word_spans
from tritone.errors import InvalidInput
from tritone.pronunciation import PRONOUNCED

_FIRST: Final = 0x10600
"""The first letter of Linear A, an undeciphered script, which no text has and no rule changes."""
_MOST: Final = 300
_LETTER: Final = re.compile(f"([{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}])")


class Pronunciations:
    """The pronunciations of a text."""

    def __init__(self, text: str) -> None:
        """Raise `InvalidInput` if there are too many."""
        self._given: list[tuple[str, str]] = []
        """Each word, and its IPA."""
        self.written = PRONOUNCED.sub(r"\1", text)
        """The text without pronunciations."""
        self.text = PRONOUNCED.sub(self._letter, _LETTER.sub("", text))
        """The text with a letter in place of each word that has one."""

    def phonemes(self, text: str, convert: Callable[[str], str], from_ipa: Callable[[str], str]) -> str:
        """Return the phonemes of a part of the text; `convert` returns those of words, `from_ipa` those of the IPA.

        The words are converted as they are written, because those beside them sound by them, as "a" does before a
        vowel; then the given sounds take the place of theirs.
        """
        runs = _LETTER.split(text)
        given = {index: self._given[ord(runs[index]) - _FIRST] for index in range(1, len(runs), 2)}
        written = [given[index][0] if index in given else run for index, run in enumerate(runs)]
        phonemes = convert("".join(written))
        if not given:
            return phonemes
        spans = word_spans([convert(run) for run in written], phonemes)
        for index, (_, ipa) in reversed(list(given.items())):
            first, last = spans[index]
            phonemes = phonemes[:first] + from_ipa(ipa) + phonemes[last:]
        return phonemes

    def _letter(self, match: re.Match[str]) -> str:
        if len(self._given) == _MOST:
            raise InvalidInput("text", f"it has more than {_MOST} pronunciations")
        self._given.append((match[1], match[2]))
        return chr(_FIRST + len(self._given) - 1)
