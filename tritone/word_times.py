"""Times of segments and words as clients may rely on them: in order, within the window, and never without length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from tritone.transcript import Segment, Word

SHORTEST: Final = 0.02
"""Seconds; a step of Whisper's clock, which gives short words no length now and then."""


def ordered_times(segments: Sequence[Segment], seconds: float) -> tuple[Segment, ...]:
    """Return the segments of a window of `seconds`, each at least `SHORTEST` long, in order and within the window.

    The same holds for their words, which lie within their segments. Models pad a window to its greatest length, and may
    give times within the padding. Where there is too little time for all, all are as short as it takes.
    """
    spans = iter(_ordered([_span(part) for segment in segments for part in segment.words or (segment,)], seconds))
    timed: list[Segment] = []
    for segment in segments:
        if segment.words:
            words = tuple(_at(word, *next(spans)) for word in segment.words)
            earliest = timed[-1].end if timed else 0.0
            start = min(max(segment.start, earliest), words[0].start)
            timed.append(replace(segment, start=start, end=words[-1].end, words=words))
        else:
            start, end = next(spans)
            timed.append(replace(segment, start=start, end=end))
    # A segment may go on after its last word, up to the next segment.
    latest = [*(segment.start for segment in timed[1:]), seconds]
    ends = [max(s.end, min(given.end, limit)) for given, s, limit in zip(segments, timed, latest, strict=False)]
    return tuple(replace(segment, end=end) for segment, end in zip(timed, ends, strict=True))


def ordered_words(words: Iterable[Word], seconds: float) -> tuple[Word, ...]:
    """Return the words of `seconds` of speech, each at least `SHORTEST` long, in order and within that time."""
    given = list(words)
    return tuple(_at(word, *span) for word, span in zip(given, _ordered([*map(_span, given)], seconds), strict=True))


def _span(part: Segment | Word) -> tuple[float, float]:
    return part.start, part.end


def _at(word: Word, start: float, end: float) -> Word:
    return replace(word, start=start, end=end)


def _ordered(spans: Sequence[tuple[float, float]], seconds: float) -> list[tuple[float, float]]:
    """Return `spans` with the fewest changes that make each long enough and the next begin no earlier than its end."""
    least = min(SHORTEST, seconds / max(1, len(spans)))
    forward: list[tuple[float, float]] = []
    earliest = 0.0
    for start, end in spans:
        begin = max(start, earliest)
        earliest = max(end, begin + least)
        forward.append((begin, earliest))
    latest = seconds
    backward: list[tuple[float, float]] = []
    for start, end in reversed(forward):
        finish = min(end, latest)
        latest = max(0.0, min(start, finish - least))
        backward.append((latest, finish))
    return backward[::-1]
