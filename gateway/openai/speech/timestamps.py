"""The times of words and segments of a speech, as its words become known."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from gateway.openai.speech.protocol import (
    Granularity,
    SpeechBody,
    SpeechTimes,
    SpokenSegment,
    SpokenWord,
    SubtitleFormat,
)
from gateway.openai.transcription import subtitles
from tritone.transcript import Segment, Word


@dataclass
class Timestamps:
    """Collects the words of a speech in order, and divides them into sentences."""

    granularities: Collection[Granularity] = ()
    subtitle_format: SubtitleFormat | None = None
    segments: list[Segment] = field(default_factory=list)
    """The complete ones."""
    _open: list[Word] = field(default_factory=list)
    """The words of the next segment."""

    @classmethod
    def of(cls, body: SpeechBody) -> Timestamps:
        """Return those that a request asks for."""
        return cls(body.timestamp_granularities or (), body.subtitle_format)

    def add(self, words: Iterable[Word], *, last: bool = False) -> SpeechTimes | None:
        """Take the next words; return what is complete with them, if anything. `last`: there are no more words."""
        added = list(words)
        first_new = len(self.segments)
        for word in added:
            self._open.append(word)
            if subtitles.ends_sentence(word.text):
                self._close()
        if last and self._open:
            self._close()
        times = SpeechTimes(
            words=[_word(word) for word in added] if "word" in self.granularities else None,
            segments=[
                _segment(index, segment) for index, segment in enumerate(self.segments[first_new:], start=first_new)
            ]
            if "segment" in self.granularities
            else None,
        )
        return times if times.words or times.segments else None

    async def subtitles(self) -> str | None:
        """Return the subtitles of the complete segments, if the request asks for them."""
        match self.subtitle_format:
            case "srt":
                return await asyncio.to_thread(subtitles.srt, self.segments)
            case "vtt":
                return await asyncio.to_thread(subtitles.vtt, self.segments)
        return None

    def _close(self) -> None:
        words = tuple(self._open)
        self._open.clear()
        text = "".join(word.text for word in words)
        self.segments.append(Segment(words[0].start, words[-1].end, text, (), words=words))


def _word(word: Word) -> SpokenWord:
    return SpokenWord(word=word.text.strip(), start=round(word.start, 3), end=round(word.end, 3))


def _segment(index: int, segment: Segment) -> SpokenSegment:
    start, end = round(segment.start, 3), round(segment.end, 3)
    return SpokenSegment(id=index, text=segment.text.strip(), start=start, end=end)
