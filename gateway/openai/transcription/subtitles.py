"""Subtitles that are easy to read: cues of two short lines, written as SubRip or WebVTT.

The layout considers the whole text at once. Each place where the text may be split has a cost for ending a cue there,
which is lowest after a sentence, and a cost for not ending it, which grows with the pause. Dynamic programming finds
the cues with the lowest total cost within the limits of width and time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from gateway.openai.transcription.subtitle_units import COLUMNS, Unit, columns, units_of
from tritone.transcript import Segment

SHORTEST_MS: Final = 700
LONGEST_MS: Final = 7_000

_CLOSERS: Final = "[\"'”’»)\\]」』）】]*$"
_SENTENCE: Final = re.compile("[.!?…。！？｡؟।\u06d4]" + _CLOSERS)
_CLAUSE: Final = re.compile("[,;:—–，、；：､،؛]" + _CLOSERS)
_ABBREVIATION: Final = re.compile(r"(?:[A-Z]|Mrs?|Ms|Dr|St|Prof|Sr|Sra|M|Mme|etc|vs)\.")

_CUE: Final = 1.0
"""The cost of a cue, and the unit of all costs: without it every word would be a cue."""
_CLAUSE_END: Final = 0.5
"""The cost of ending a cue within a sentence, at a mark, a pause or the end of a segment."""
_MID_CLAUSE: Final = 3.0
"""The cost of ending a cue anywhere else."""
_SEGMENT_KEPT: Final = 1.2
"""The cost of not ending a cue where a segment ends with a sentence."""
_SENTENCE_KEPT: Final = 0.6
"""The cost of not ending a cue at any other end of a sentence."""
_PAUSE_MS: Final = 300
"""A shorter pause may be within a phrase."""
_HURRIED: Final = 10.0
"""The cost of a cue that the next one ends before `SHORTEST_MS`."""
_MID_CLAUSE_LINE: Final = 16
"""The cost of ending a line without a mark, in columns of difference between the two lines."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One or two lines on the screen from `start` to `end`, in ms."""

    start: int
    end: int
    lines: tuple[str, ...]


def srt(segments: Iterable[Segment]) -> str:
    """Return SubRip subtitles."""
    # An arrow would be read as a line of times, and SubRip has no escape: an invisible word joiner splits it.
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "\n".join(cue.lines).replace("-->", "--\u2060>")
        + "\n\n"
        for number, cue in enumerate(cues(segments), start=1)
    )


def vtt(segments: Iterable[Segment]) -> str:
    """Return WebVTT subtitles."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n" + _escaped("\n".join(cue.lines)) + "\n\n"
        for cue in cues(segments)
    )


def cues(segments: Iterable[Segment]) -> list[Cue]:
    """Return the text of `segments` as cues, in order and without overlap, each within the limits.

    Times are those of the words if a segment has words, else spread evenly over the segment. If speech is too fast for
    the limits, cues are late, not too short.
    """
    units = list(units_of(segments))
    spans = _spans(units)
    nexts = [units[first].start for first, _ in spans[1:]] + [LONGEST_MS + units[-1].end] if units else []
    written, free = [], 0
    for (first, last), following in zip(spans, nexts, strict=True):
        start = max(free, units[first].start)
        spoken = min(max(unit.end for unit in units[first:last]), following, start + LONGEST_MS)
        free = max(spoken, start + SHORTEST_MS)
        written.append(Cue(start, free, _lines(units[first:last])))
    return written


def _spans(units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Return the cues as ranges [first, last) of `units`, at the lowest cost."""
    edges = _edges(units)
    ends = [_ending_cost(units, index) for index in range(1, len(units) + 1)]
    kept = [0.0, *accumulate(_keeping_cost(units, index) for index in range(1, len(units)))]
    costs, firsts = [0.0], [0]
    for last in range(1, len(units) + 1):
        best, best_first = float("inf"), last - 1
        for first in range(last - 1, -1, -1):
            if first < last - 1 and not (
                _fits(units, edges, first, last) and units[last - 1].end - units[first].start <= LONGEST_MS
            ):
                break
            filled = (edges[last] - edges[first]) / (2 * COLUMNS)
            cost = costs[first] + _CUE + ends[last - 1] + kept[last - 1] - kept[first] + filled**2
            if last < len(units) and units[last].start - units[first].start < SHORTEST_MS:
                cost += _HURRIED
            if cost < best:
                best, best_first = cost, first
        costs.append(best)
        firsts.append(best_first)
    spans, last = [], len(units)
    while last:
        spans.append((firsts[last], last))
        last = firsts[last]
    return spans[::-1]


def _edges(units: Sequence[Unit]) -> list[int]:
    """Return the column at which each unit would end in one long line, after a first 0."""
    return [0, *accumulate(unit.spaced + columns(unit.text) for unit in units)]


def _fits(units: Sequence[Unit], edges: Sequence[int], first: int, last: int) -> bool:
    """Return whether `units[first:last]` fit two lines, of which the first is filled as far as possible."""
    middle = bisect_right(edges, edges[first] + units[first].spaced + COLUMNS) - 1
    return middle >= last or edges[last] - edges[middle] - units[middle].spaced <= COLUMNS


def _ending_cost(units: Sequence[Unit], index: int) -> float:
    """Return the cost of ending a cue before `units[index]`."""
    before = units[index - 1]
    mark = _mark(before.text)
    if index == len(units) or mark == "sentence":
        return 0.0
    return _CLAUSE_END if mark or before.ends_segment or _pause(units, index) >= _PAUSE_MS else _MID_CLAUSE


def _keeping_cost(units: Sequence[Unit], index: int) -> float:
    """Return the cost of not ending a cue before `units[index]`."""
    cost = _pause(units, index) / 1000
    if _mark(units[index - 1].text) == "sentence":
        cost += _SEGMENT_KEPT if units[index - 1].ends_segment else _SENTENCE_KEPT
    return cost


def _pause(units: Sequence[Unit], index: int) -> int:
    return max(0, units[index].start - units[index - 1].end)


def ends_sentence(text: str) -> bool:
    """Return whether a sentence ends with `text`."""
    return _mark(text) == "sentence"


def _mark(text: str) -> str:
    """Return `sentence` or `clause` if punctuation ends one at the end of `text`, else an empty text."""
    if _SENTENCE.search(text):
        return "" if _ABBREVIATION.fullmatch(text) else "sentence"
    return "clause" if _CLAUSE.search(text) else ""


def _lines(units: Sequence[Unit]) -> tuple[str, ...]:
    """Return one line if it holds all, else two of about the same width, split after a mark if possible."""
    edges = _edges(units)
    if edges[-1] - units[0].spaced <= COLUMNS:
        return (_joined(units),)

    costs = {}
    for middle in range(1, len(units)):
        above, below = edges[middle] - units[0].spaced, edges[-1] - edges[middle] - units[middle].spaced
        if max(above, below) <= COLUMNS:
            costs[middle] = abs(above - below) + (0 if _mark(units[middle - 1].text) else _MID_CLAUSE_LINE)
    middle = min(costs, key=costs.__getitem__)
    return _joined(units[:middle]), _joined(units[middle:])


def _joined(units: Sequence[Unit]) -> str:
    return "".join(" " * unit.spaced + unit.text for unit in units).lstrip(" ")


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
