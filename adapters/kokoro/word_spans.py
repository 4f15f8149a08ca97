"""Find the phonemes of each word in the phonemes of a text.

espeak-ng joins words (`for the` has one group of phonemes) and divides others (numbers). So each word is converted
alone, and the phonemes of all words, one after the other, are aligned with those of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.speech.edits import places


def word_spans(words: Sequence[str], phonemes: str) -> list[tuple[int, int]]:
    """Return the range [first, last) in `phonemes` of each word, by the words' own phonemes.

    The ranges are in order and do not overlap; one is empty if nothing of its word is left in `phonemes`. Spaces and
    punctuation at a range's ends are left out.
    """
    owners = [index for index, word in enumerate(words) for _ in word]
    starts: dict[int, int] = {}
    for owner, place in zip(owners, places(_codes("".join(words)), _codes(phonemes)), strict=True):
        if place is not None:
            starts.setdefault(owner, place)
    spans: list[tuple[int, int]] = []
    end = len(phonemes)
    for index in reversed(range(len(words))):
        start = starts.get(index, end)
        spans.append(_trimmed(phonemes, start if index else 0, end) if index in starts or not index else (end, end))
        end = start
    return spans[::-1]


def _codes(text: str) -> list[int]:
    return [ord(character) for character in text]


def _trimmed(phonemes: str, start: int, end: int) -> tuple[int, int]:
    while end > start and not _sounds(phonemes[end - 1]):
        end -= 1
    while start < end and not _sounds(phonemes[start]):
        start += 1
    return start, end


def _sounds(character: str) -> bool:
    return character.isalnum() or character in "ˈˌː→↗↓↘"
