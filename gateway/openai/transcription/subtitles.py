"""Subtitles that can be read: the words laid out over cues of two short lines, written as SubRip or WebVTT.

The layout takes the whole text at once. Each place where it may be parted has a price for ending a cue there, which is
lowest after a sentence, and one for not ending it, which grows with the pause; the cheapest row of cues is found by
dynamic programming, within the limits of width and time.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final

from tritone.transcript import Segment, Word

COLUMNS: Final = 42
"""The longest line; full-width characters take two."""
SHORTEST_MS: Final = 700
LONGEST_MS: Final = 7_000

_CLOSERS: Final = "[\"'”’»)\\]」』）】]*$"
_SENTENCE: Final = re.compile("[.!?…。！？｡؟।\u06d4]" + _CLOSERS)
_CLAUSE: Final = re.compile("[,;:—–，、；：､،؛]" + _CLOSERS)
_ABBREVIATION: Final = re.compile(r"(?:[A-Z]|Mrs?|Ms|Dr|St|Prof|Sr|Sra|M|Mme|etc|vs)\.")
_SMALL_KANA: Final = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")

_CUE: Final = 1.0
"""The price of a cue, of which all others are multiples: without it every word would be one."""
_CLAUSE_END: Final = 0.5
"""For ending it in a sentence, where a mark, a pause or the end of a segment parts the text."""
_MID_CLAUSE: Final = 3.0
"""For ending it anywhere else."""
_SEGMENT_KEPT: Final = 1.2
"""For not ending it where the model ended a segment with a sentence."""
_SENTENCE_KEPT: Final = 0.6
_PAUSE_MS: Final = 300
"""A shorter pause may lie within a phrase."""
_HURRIED: Final = 10.0
"""For a cue that the next one cuts off before `SHORTEST_MS`."""
_MID_CLAUSE_LINE: Final = 16
"""For ending a line without a mark, in columns that one line is longer than the other."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen from `start` to `end`, in ms: one line or two."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """Text that no line parts, at most `COLUMNS` wide, with its times in ms."""

    text: str
    spaced: bool
    """Whether a space parts it from the one before."""
    ends_segment: bool
    start: int
    end: int


@dataclass(slots=True)
class _Cluster:
    """Characters that are seen as one, with their times in s."""

    text: str
    spaced: bool
    width: int
    start: float
    end: float


def srt(segments: Iterable[Segment]) -> str:
    """SubRip subtitles."""
    # An arrow would read as a line of times, and SubRip has no escape: a word joiner, which nobody sees, parts it.
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "\n".join(cue.lines).replace("-->", "--\u2060>")
        + "\n\n"
        for number, cue in enumerate(cues(segments), start=1)
    )


def vtt(segments: Iterable[Segment]) -> str:
    """WebVTT subtitles."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n" + _escaped("\n".join(cue.lines)) + "\n\n"
        for cue in cues(segments)
    )


def cues(segments: Iterable[Segment]) -> list[Cue]:
    """The text of `segments` as cues, in order and without overlap, each within the limits.

    Times are those of the words where a segment has words, else spread evenly over the segment. Where more is said than
    can be shown in its time, cues come late rather than too short.
    """
    units = list(_units(segments))
    spans = _spans(units)
    nexts = [units[first].start for first, _ in spans[1:]] + [LONGEST_MS + units[-1].end] if units else []
    written, free = [], 0
    for (first, last), following in zip(spans, nexts, strict=True):
        start = max(free, units[first].start)
        spoken = min(max(unit.end for unit in units[first:last]), following, start + LONGEST_MS)
        free = max(spoken, start + SHORTEST_MS)
        written.append(Cue(start, free, _lines(units[first:last])))
    return written


def columns(text: str) -> int:
    """How wide `text` is: two for full-width characters, none for those that are drawn over others."""
    return sum(map(_width, text))


def _spans(units: Sequence[_Unit]) -> list[tuple[int, int]]:
    """The cues as ranges [first, last) of `units`, at the lowest price."""
    edges = _edges(units)
    ends = [_ending_price(units, index) for index in range(1, len(units) + 1)]
    kept = [0.0, *accumulate(_keeping_price(units, index) for index in range(1, len(units)))]
    prices, firsts = [0.0], [0]
    for last in range(1, len(units) + 1):
        best, best_first = float("inf"), last - 1
        for first in range(last - 1, -1, -1):
            if first < last - 1 and not (
                _fits(units, edges, first, last) and units[last - 1].end - units[first].start <= LONGEST_MS
            ):
                break
            filled = (edges[last] - edges[first]) / (2 * COLUMNS)
            price = prices[first] + _CUE + ends[last - 1] + kept[last - 1] - kept[first] + filled**2
            if last < len(units) and units[last].start - units[first].start < SHORTEST_MS:
                price += _HURRIED
            if price < best:
                best, best_first = price, first
        prices.append(best)
        firsts.append(best_first)
    spans, last = [], len(units)
    while last:
        spans.append((firsts[last], last))
        last = firsts[last]
    return spans[::-1]


def _edges(units: Sequence[_Unit]) -> list[int]:
    """The column at which each unit ends when all stand in one row, after that of its beginning, 0."""
    return [0, *accumulate(unit.spaced + columns(unit.text) for unit in units)]


def _fits(units: Sequence[_Unit], edges: Sequence[int], first: int, last: int) -> bool:
    """Whether `units[first:last]` fit two lines: the first holds as much as it can."""
    middle = bisect_right(edges, edges[first] + units[first].spaced + COLUMNS) - 1
    return middle >= last or edges[last] - edges[middle] - units[middle].spaced <= COLUMNS


def _ending_price(units: Sequence[_Unit], index: int) -> float:
    """Of ending a cue before `units[index]`."""
    before = units[index - 1]
    mark = _mark(before.text)
    if index == len(units) or mark == "sentence":
        return 0.0
    return _CLAUSE_END if mark or before.ends_segment or _pause(units, index) >= _PAUSE_MS else _MID_CLAUSE


def _keeping_price(units: Sequence[_Unit], index: int) -> float:
    """Of having both sides of `units[index]`'s beginning in one cue."""
    price = _pause(units, index) / 1000
    if _mark(units[index - 1].text) == "sentence":
        price += _SEGMENT_KEPT if units[index - 1].ends_segment else _SENTENCE_KEPT
    return price


def _pause(units: Sequence[_Unit], index: int) -> int:
    return max(0, units[index].start - units[index - 1].end)


def _mark(text: str) -> str:
    """What the punctuation at the end of `text` ends, if anything."""
    if _SENTENCE.search(text):
        return "" if _ABBREVIATION.fullmatch(text) else "sentence"
    return "clause" if _CLAUSE.search(text) else ""


def _lines(units: Sequence[_Unit]) -> tuple[str, ...]:
    """One line if it holds all, else two of about the same width, parted after a mark rather than elsewhere."""
    edges = _edges(units)
    if edges[-1] - units[0].spaced <= COLUMNS:
        return (_joined(units),)

    prices = {}
    for middle in range(1, len(units)):
        above, below = edges[middle] - units[0].spaced, edges[-1] - edges[middle] - units[middle].spaced
        if max(above, below) <= COLUMNS:
            prices[middle] = abs(above - below) + (0 if _mark(units[middle - 1].text) else _MID_CLAUSE_LINE)
    middle = min(prices, key=prices.__getitem__)
    return _joined(units[:middle]), _joined(units[middle:])


def _joined(units: Sequence[_Unit]) -> str:
    return "".join(" " * unit.spaced + unit.text for unit in units).lstrip(" ")


def _units(segments: Iterable[Segment]) -> Iterator[_Unit]:
    """The units of all segments, none of which starts before the one before it."""
    clock = 0
    before = ""
    for segment in segments:
        rows = list(_rows(list(_clusters(segment))))
        for row in rows:
            text = "".join(cluster.text for cluster in row)
            # Not every model begins a segment with the space that parts it from the last.
            parted = row is rows[0] and not (_breaks_anywhere(before) or _breaks_anywhere(text[0]))
            clock = max(clock, round(row[0].start * 1000))
            yield _Unit(
                text,
                spaced=bool(before) and (row[0].spaced or parted),
                ends_segment=row is rows[-1],
                start=clock,
                end=max(clock, round(row[-1].end * 1000)),
            )
            before = text[-1]


def _rows(clusters: Sequence[_Cluster]) -> Iterator[list[_Cluster]]:
    """The clusters of each unit."""
    row: list[_Cluster] = []
    width = 0
    for cluster in clusters:
        if row and (cluster.spaced or width + cluster.width > COLUMNS or _may_part(row[-1].text, cluster.text)):
            yield row
            row, width = [], 0
        row.append(cluster)
        width += cluster.width
    if row:
        yield row


def _clusters(segment: Segment) -> Iterator[_Cluster]:
    """What is seen as one character each, with a share of its word's time by its width."""
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
    """The segment's words if they are all of its text, else the segment as if it were one word."""
    if "".join(segment.text.split()) == "".join("".join(word.text for word in segment.words).split()):
        return segment.words
    return [Word(segment.start, segment.end, segment.text, 1.0)]


@cache
def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _extends(cluster: str, character: str) -> bool:
    """Whether `character` is seen as a part of the one before: an accent, a vowel sign, the next part of an emoji."""
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        or cluster[-1] == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\u1160" <= character <= "\u11ff"  # vowels and finals of Hangul
        or (len(cluster) == 1 and all("\U0001f1e6" <= c <= "\U0001f1ff" for c in cluster + character))  # a flag
    )


def _may_part(before: str, after: str) -> bool:
    """Whether a line may end between two clusters without a space: between ideographs, but not before a mark."""
    return (
        (_breaks_anywhere(before[0]) or _breaks_anywhere(after[0]))
        and unicodedata.category(after[0]) not in ("Pe", "Pf", "Po", "Pd", "Lm")
        and unicodedata.category(before[0]) not in ("Ps", "Pi")
        and after[0] not in _SMALL_KANA
    )


def _breaks_anywhere(character: str) -> bool:
    """Whether the script has no spaces; Hangul is as wide, but has them."""
    return bool(character) and unicodedata.east_asian_width(character) in "WF" and not "가" <= character <= "힣"


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
