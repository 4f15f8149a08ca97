"""The units that subtitles are laid out from: the pieces of text that no line or cue splits, with their times."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from tritone.transcript import Segment, Word

COLUMNS: Final = 42
"""The longest line; a full-width character takes two columns."""

_SMALL_KANA: Final = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Unit:
    """Text that is never split, at most `COLUMNS` wide, with its times in ms."""

    text: str
    spaced: bool
    """Whether a space separates it from the unit before."""
    ends_segment: bool
    start: int
    end: int


@dataclass(slots=True)
class _Cluster:
    """Characters that are displayed as one, with their times in s."""

    text: str
    spaced: bool
    width: int
    start: float
    end: float


def columns(text: str) -> int:
    """Return the width of `text`: 2 for a full-width character, 0 for one that is drawn over another."""
    return sum(map(_width, text))


def units_of(segments: Iterable[Segment]) -> Iterator[Unit]:
    """Yield the units of all segments, in order of their start."""
    clock = 0
    before = ""
    for segment in segments:
        rows = list(_rows(list(_clusters(segment))))
        for row in rows:
            text = "".join(cluster.text for cluster in row)
            # Not every model begins a segment with the space that separates it from the last.
            separated = row is rows[0] and not (_breaks_anywhere(before) or _breaks_anywhere(text[0]))
            clock = max(clock, round(row[0].start * 1000))
            yield Unit(
                text,
                spaced=bool(before) and (row[0].spaced or separated),
                ends_segment=row is rows[-1],
                start=clock,
                end=max(clock, round(row[-1].end * 1000)),
            )
            before = text[-1]


def _rows(clusters: Sequence[_Cluster]) -> Iterator[list[_Cluster]]:
    """Yield the clusters of each unit."""
    row: list[_Cluster] = []
    width = 0
    for cluster in clusters:
        if row and (cluster.spaced or width + cluster.width > COLUMNS or _may_split(row[-1].text, cluster.text)):
            yield row
            row, width = [], 0
        row.append(cluster)
        width += cluster.width
    if row:
        yield row


def _clusters(segment: Segment) -> Iterator[_Cluster]:
    """Yield the clusters of a segment, each with a share of its word's time in proportion to its width."""
    cluster = None
    spaced = False
    for word in _words(segment):
        text = _CONTROLS.sub(" ", word.text)
        second = (word.end - word.start) / max(1, columns("".join(text.split())))
        start = word.start
        for character in text:
            if character.isspace():
                spaced = True
                continue
            width = _width(character)
            end = start + width * second
            if cluster and not spaced and cluster.width + width <= COLUMNS and _extends(cluster.text, character):
                cluster.text += character
                cluster.width += width
                cluster.end = end
            else:
                if cluster:
                    yield cluster
                cluster = _Cluster(character, spaced, width, start, end)
            spaced = False
            start = end
    if cluster:
        yield cluster


def _words(segment: Segment) -> Sequence[Word]:
    """Return the segment's words if they make up its text, else the segment as one word."""
    if "".join(segment.text.split()) == "".join("".join(word.text for word in segment.words).split()):
        return segment.words
    return [Word(segment.start, segment.end, segment.text, 1.0)]


@cache
def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _extends(cluster: str, character: str) -> bool:
    """Return whether `character` belongs to the cluster: an accent, a vowel sign, the next part of an emoji."""
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        or cluster[-1] == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\u1160" <= character <= "\u11ff"  # vowels and finals of Hangul
        or (len(cluster) == 1 and all("\U0001f1e6" <= c <= "\U0001f1ff" for c in cluster + character))  # a flag
    )


def _may_split(before: str, after: str) -> bool:
    """Return whether a line may end between two clusters without a space: between ideographs, not before a mark."""
    return (
        (_breaks_anywhere(before[0]) or _breaks_anywhere(after[0]))
        and unicodedata.category(after[0]) not in ("Pe", "Pf", "Po", "Pd", "Lm")
        and unicodedata.category(before[0]) not in ("Ps", "Pi")
        and after[0] not in _SMALL_KANA
    )


def _breaks_anywhere(character: str) -> bool:
    """Return whether the script has no spaces; Hangul is as wide, but has them."""
    return bool(character) and unicodedata.east_asian_width(character) in "WF" and not "가" <= character <= "힣"
