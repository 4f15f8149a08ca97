"""Text as F5-TTS reads it: parts of a text, their tokens, and the frames that they take."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.f5_tts.package import convert_char_to_pinyin
from adapters.f5_tts.spectrogram import FRAMES_PER_SECOND
from adapters.speech.normalization import spell_numbers, write_out
from tritone.errors import InvalidInput

LANGUAGES: Final = ("en", "zh")
"""The languages of the published checkpoints."""
_MOST_SECONDS: Final = 22.0
"""The length of a reference and the speech after it, by which the package cuts long texts."""
_SHORT_BYTES, _SHORT_SPEED = 10, 0.3
"""Shorter texts get more time, at this speed, as in the package."""
_PLAUSIBLE: Final = 2.0, 60.0
"""Bytes of text a second: what people can say."""
_LEAST_PART_BYTES = 12
_FIRST_PART_BYTES = 80
"""The first part of a text is shorter than the others may be, so that its audio comes early."""
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_CLAUSE = re.compile(r"(?<=[;:,.!?])\s+|(?<=[；：，。！？、])|\n+")
_NAMED = 8
"""Unknown characters that an error message lists."""


@dataclass(frozen=True)
class TextPart:
    """A part of a text that is synthesized at once."""

    tokens: tuple[int, ...]
    """The tokens of the reference's words, then of the part."""
    frames: int
    """Frames of the reference and of the speech."""


def _written_out(text: str, language: str) -> str:
    written = write_out(text, language)
    return written if language == "zh" else spell_numbers(written, language)


def language_of(text: str, language: str) -> str:
    """Return `language`, or, for `auto`, the language that the script of `text` shows."""
    if language != "auto":
        return language
    return "zh" if _HAN.search(text) else "en"


def words_of(ref_text: str) -> str:
    """Return the words of a reference with the end that the package gives them."""
    text = ref_text.strip()
    if not text.endswith("。"):
        text = f"{text} " if text.endswith(".") else f"{text}. "
    return text if len(text[-1].encode()) > 1 else f"{text} "


class TextReader:
    """Cuts texts into parts, and parts into tokens."""

    def __init__(self, vocabulary: Mapping[str, int], *, normalize: bool) -> None:
        """`normalize`: write numbers, dates and other signs as words."""
        self._vocabulary = vocabulary
        self._normalize = normalize

    def parts(self, text: str, ref_text: str, ref_frames: int, *, language: str, speed: float) -> list[TextPart]:
        """Return the parts of a text to be spoken after a reference of `ref_frames` frames.

        Raises `InvalidInput` for a text without words, and for characters that the model does not know.
        """
        words = words_of(ref_text)
        seconds = ref_frames / FRAMES_PER_SECOND
        rate = len(words.encode()) / seconds
        self._check(ref_text, "ref_text")
        if not _PLAUSIBLE[0] <= rate <= _PLAUSIBLE[1]:
            raise InvalidInput(
                "ref_text",
                f"has {len(words.encode())} bytes for {seconds:.1f} s of speech; it must be what is said in ref_audio",
            )
        spoken = _written_out(text, language_of(text, language)) if self._normalize else text
        self._check(spoken, "text")
        most = max(_LEAST_PART_BYTES, int(rate * (_MOST_SECONDS - seconds) * speed))
        parts = [self._part(part, words, ref_frames, speed) for part in cut(spoken, most)]
        if not parts:
            raise InvalidInput("text", "has no words to synthesize")
        return parts

    def _part(self, text: str, words: str, ref_frames: int, speed: float) -> TextPart:
        length = len(text.encode())
        pace = _SHORT_SPEED if length < _SHORT_BYTES else speed
        frames = ref_frames + int(ref_frames / len(words.encode()) * length / pace)
        (tokens,) = convert_char_to_pinyin([words + text])
        indices = tuple(self._vocabulary.get(token, 0) for token in tokens)
        # A frame for each token, and one after the reference at least (it has one frame more), as in the package.
        return TextPart(indices, max(frames, len(indices) + 1, ref_frames + 2))

    def _check(self, text: str, field: str) -> None:
        """Raise `InvalidInput` for letters that the model does not know, or only by their sight."""
        unknown = dict.fromkeys(letter for letter in text if letter.isalpha() and not self._knows(letter))
        if unknown:
            shown = "".join([*unknown][:_NAMED])
            raise InvalidInput(
                field, f"has letters that this model does not speak ({shown}); it speaks Chinese, English"
            )

    def _knows(self, letter: str) -> bool:
        if _HAN.match(letter):
            return True
        return letter in self._vocabulary and unicodedata.name(letter, "").split(" ")[0] in _SCRIPTS


_SCRIPTS: Final = frozenset({"LATIN", "GREEK", "MICRO", "MASCULINE", "FEMININE", "SCRIPT", "DOUBLE-STRUCK", "MODIFIER"})
"""First words of the Unicode names of letters that Chinese and English texts have. The vocabulary also has letters of
scripts that the training data hardly had."""


def cut(text: str, most: int) -> Iterator[str]:
    """Yield parts of `text` of at most `most` bytes, the first shorter than that, cut between clauses.

    A clause that is too long is cut between words, a word between characters. Parts without a letter or a digit are
    left out, but for a few signs before a word, with which a part may be a little longer.
    """
    part, limit = "", min(most, _FIRST_PART_BYTES)
    for clause in _short_enough(_CLAUSE.split(text), most):
        joint = " " if part and len(part[-1].encode()) == 1 else ""
        longer = part + joint + clause
        is_spoken = _has_words(part)
        if len(longer.encode()) > limit and (is_spoken or len(part.encode()) > _LEAST_PART_BYTES):
            if is_spoken:
                yield part
                limit = most
            part = clause
        else:
            part = longer
    if _has_words(part):
        yield part


def _short_enough(clauses: Sequence[str], most: int) -> Iterator[str]:
    for clause in clauses:
        rest = clause.strip()
        while len(rest.encode()) > most:
            end = len(rest.encode()[:most].decode(errors="ignore"))
            space = rest.rfind(" ", 1, end + 1)
            end = space if space > 0 else max(end, 1)
            yield rest[:end].strip()
            rest = rest[end:].strip()
        if rest:
            yield rest


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)
