"""Sentences to synthesize, and error rates of their transcripts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import jiwer

ENGLISH = [
    "The quick brown fox jumps over the lazy dog.",
    "Could you please tell me where the nearest railway station is?",
    "Yesterday evening, we walked along the river until it started to rain.",
    "She bought two apples, four lemons and a loaf of fresh bread.",
    "I never thought that learning the piano would be this much fun!",
    "The library closes at nine, but the reading room stays open.",
    "In winter the mountain roads are often covered with snow and ice.",
    "Please remember to switch off the lights before you leave the office.",
    "Scientists have discovered a new kind of frog in the rain forest.",
    "Although he was tired, the captain kept his eyes on the horizon.",
]
_NUMBERS = {
    "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight",
    "9": "nine", "10": "ten",
}  # fmt: skip


def plain(text: str) -> str:
    """Return the text in lower case, without punctuation, and with small numbers as words."""
    text = unicodedata.normalize("NFKC", text).lower().replace("-", " ")
    words = re.sub(r"[^\w\s']", "", text).split()
    return " ".join(_NUMBERS.get(word, word) for word in words)


def word_error_rate(expected: Sequence[str], transcripts: Sequence[str]) -> float:
    """Return the word error rate over all sentences together."""
    return float(jiwer.wer([plain(text) for text in expected], [plain(text) for text in transcripts]))


def character_error_rate(expected: Sequence[str], transcripts: Sequence[str]) -> float:
    """Return the character error rate over all sentences together, without spaces."""
    expected, transcripts = ([plain(text).replace(" ", "") for text in side] for side in (expected, transcripts))
    return float(jiwer.cer(expected, transcripts))
