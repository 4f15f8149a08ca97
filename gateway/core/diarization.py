"""Diarization: assign the words of a transcript to the speakers who take turns in its recording."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, count, pairwise, product
from typing import Final

import numpy as np

from gateway.core.best_path import best_path
from gateway.core.clustering import Group, likeness_margin, speaker_groups
from gateway.core.speaker_encoder import SHORTEST, SpeakerEmbedding
from gateway.core.speaker_turns import Turn, TurnOptions, assign, clear_voices, likeliest, turns_of
from gateway.core.speech_pieces import SpeechPiece
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Word

_PAUSE: Final = 0.5
"""Seconds between two words in which the speaker may have changed."""
_SENTENCE_END: Final = re.compile(r"[.?!。？！…][\"'”’»)\]]*$")
_WITHIN: Final = 0.5
"""Seconds of words that must be another speaker's for a sentence to be split: the times of words are not exact."""
_BETWEEN: Final = 0.05
"""The same between two sentences, or in a pause."""
_NEAR: Final = 0.5
"""Seconds; if its words begin so close to its speaker's speech, a segment begins with that speech; its end likewise."""


@dataclass(frozen=True, slots=True)
class SpeakerSegment(Segment):
    """A sentence of one speaker, or a part of one."""

    speaker: str = ""


class Speakers:
    """The speakers of one recording: those `known` by name, and others, called A, B, and so on as they appear."""

    def __init__(self, known: Mapping[str, SpeakerEmbedding], options: TurnOptions | None = None) -> None:
        """`options`: the number of speakers, where it is known."""
        # Every word has a speaker, however short the turn is.
        self._options = replace(options or TurnOptions(), least_turn=0.0, least_gap=0.1)
        self._known = known
        self._pieces: dict[float, Sequence[SpeechPiece]] = {}
        self._groups = {name: Group(embedding, 1) for name, embedding in known.items()}
        """The clear voices of each speaker so far."""
        self._names = _Names(known)
        self._last = ""

    def hear(self, start: float, pieces: Sequence[SpeechPiece]) -> None:
        """Take the speech in the window that begins at so many seconds."""
        self._pieces[start] = pieces

    def assign(self, window: WindowTranscript) -> WindowTranscript:
        """Return the next window with the speakers of its words, by the speech so far: for those who cannot wait.

        A name that was given to a voice stays.
        """
        pieces = self._pieces.get(window.start, ())
        self._learn(clear_voices(pieces))
        if not self._groups:
            self._last = self._last or self._names.next()
            return _assigned(window, (), [self._last])
        names = [*self._groups]
        voices = [group.mean for group in self._groups.values()]
        turns = turns_of(pieces, likeliest(pieces, voices), self._options)
        before = names.index(self._last) if self._last in names else 0
        assigned = _assigned(window, turns, names, before)
        self._last = _last_speaker(assigned) or self._last
        return assigned

    def assign_all(self, windows: Sequence[WindowTranscript]) -> list[WindowTranscript]:
        """Return all windows with the speakers of their words, by all speech of the recording.

        Call it in a thread: the work grows a little faster than the recording.
        """
        pieces = [*chain.from_iterable(self._pieces[start] for start in sorted(self._pieces))]
        found = assign(pieces, self._options, self._known)
        labels = [str(speaker) for speaker in range(1 + max((turn.speaker for turn in found.turns), default=0))]
        numbered: list[WindowTranscript] = []
        for window in windows:
            before = int(_last_speaker(numbered[-1]) or 0) if numbered else 0
            numbered.append(_assigned(window, _around(window, found.turns), labels, before))
        # Only those who say a word have a letter.
        names = _Names(self._known)
        spoken = dict.fromkeys(segment.speaker for window in numbered for segment in _segments(window))
        name_of = {label: found.names.get(int(label)) or names.next() for label in spoken}
        return [
            replace(each, segments=tuple(replace(s, speaker=name_of[s.speaker]) for s in _segments(each)))
            for each in numbered
        ]

    def _learn(self, voices: Sequence[SpeakerEmbedding]) -> None:
        """Add voices to those of the speakers whom they sound like, or of new ones."""
        likeness, most = 1 - self._options.distance, self._options.most_speakers
        for group in speaker_groups([Group(voice, 1) for voice in voices], likeness) if voices else ():
            margins = {name: likeness_margin(known, group, likeness) for name, known in self._groups.items()}
            nearest = max(margins, key=margins.__getitem__, default="")
            if nearest and (margins[nearest] >= 0 or (most is not None and len(margins) >= most)):
                self._groups[nearest] += group
            else:
                self._groups[self._names.next()] = group


class _Names:
    """The letters A to Z, then AA to ZZ, and so on, without those that are a known speaker's name."""

    def __init__(self, known: Mapping[str, SpeakerEmbedding]) -> None:
        letters = chain.from_iterable(map("".join, product(string.ascii_uppercase, repeat=n)) for n in count(1))
        self._free = (letter for letter in letters if letter not in known)

    def next(self) -> str:
        """Return the next letter."""
        return next(self._free)


def _segments(window: WindowTranscript) -> Iterator[SpeakerSegment]:
    return (segment for segment in window.segments if isinstance(segment, SpeakerSegment))


def _last_speaker(window: WindowTranscript) -> str:
    return next((segment.speaker for segment in reversed([*_segments(window)])), "")


def _around(window: WindowTranscript, turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns that words of the window may belong to."""
    start, end = window.start - _NEAR, window.start + window.seconds + _NEAR
    return [turn for turn in turns if turn.start < end and turn.end > start]


def _assigned(
    window: WindowTranscript, turns: Sequence[Turn], names: Sequence[str], before: int = 0
) -> WindowTranscript:
    """Return the window cut into sentences of one speaker each; `before` speaks first if nothing says who does."""
    words = [word for segment in window.segments for word in _words(segment)]
    speakers = [names[index] for index in _speakers_of(words, turns, len(names), before)]
    sentences = [*_sentences(window.segments, speakers)]
    return replace(window, segments=tuple(_timed(sentences, turns, names)))


def _words(segment: Segment) -> Sequence[Word]:
    """Return the segment's words; the whole segment as one if the model found no times."""
    return segment.words or (Word(segment.start, segment.end, segment.text, 1.0),)


def _is_cut(word: Word, following: Word) -> bool:
    return bool(_SENTENCE_END.search(word.text)) or following.start - word.end >= _PAUSE


def _speakers_of(words: Sequence[Word], turns: Sequence[Turn], speakers: int, before: int) -> list[int]:
    """Return the speaker of each word: who speaks in most of its time, if a change has its price."""
    gains = np.zeros((len(words), speakers))
    for gained, word in zip(gains, words, strict=True):
        for turn in turns:
            gained[turn.speaker] += max(0.0, min(turn.end, word.end) - max(turn.start, word.start))
    prices = [_BETWEEN, *(_BETWEEN if _is_cut(last, word) else _WITHIN for last, word in pairwise(words))]
    return best_path(gains, prices[: len(words)], before)


def _sentences(segments: Sequence[Segment], speakers: Iterable[str]) -> Iterator[SpeakerSegment]:
    """Yield the sentences of `segments`, cut where the speaker changes; tokens stay with a segment's first word.

    `speakers`: of each word.
    """
    speaker = iter(speakers)
    last: SpeakerSegment | None = None
    for segment in segments:
        values = {each.name: getattr(segment, each.name) for each in fields(Segment)}
        for word in _words(segment):
            values |= {"start": word.start, "end": word.end, "text": word.text}
            values["words"] = (word,) if segment.words else ()
            piece = SpeakerSegment(**values, speaker=next(speaker))
            values |= {"tokens": (), "token_logprobs": (), "token_texts": ()}
            if last and last.speaker == piece.speaker and not _ends_sentence(last, word):
                last = _joined(last, piece)
                continue
            if last:
                yield last
            last = piece
    if last:
        yield last


def _joined(one: SpeakerSegment, other: SpeakerSegment) -> SpeakerSegment:
    return replace(
        one,
        end=other.end,
        text=one.text + other.text,
        tokens=one.tokens + other.tokens,
        token_logprobs=one.token_logprobs + other.token_logprobs,
        token_texts=one.token_texts + other.token_texts,
        words=one.words + other.words,
    )


def _ends_sentence(piece: SpeakerSegment, following: Word) -> bool:
    """Return whether a sentence ends with `piece`; a mark is not enough after what may be an abbreviation."""
    abbreviated = piece.end - piece.start < SHORTEST and following.start - piece.end < _PAUSE
    return bool(_SENTENCE_END.search(piece.text)) and not abbreviated


def _timed(
    sentences: Sequence[SpeakerSegment], turns: Sequence[Turn], names: Sequence[str]
) -> Iterator[SpeakerSegment]:
    """Yield the sentences with the times of their speakers' speech, which are more exact than those of words.

    None overlap that did not before. The first and the last word follow.
    """
    own = [
        [
            turn
            for turn in turns
            if names[turn.speaker] == each.speaker and turn.end > each.start and turn.start < each.end
        ]
        for each in sentences
    ]
    starts, end = [], 0.0
    for each, said in zip(sentences, own, strict=True):
        start = said[0].start if said and abs(said[0].start - each.start) <= _NEAR else each.start
        first = each.words[0].end if each.words else each.end
        starts.append(min(max(start, min(end, each.start)), first))
        end = each.end
    for index, (each, said) in enumerate(zip(sentences, own, strict=True)):
        end = said[-1].end if said and abs(said[-1].end - each.end) <= _NEAR else each.end
        last = each.words[-1].start if each.words else each.start
        if index + 1 < len(sentences):
            end = min(end, max(starts[index + 1], each.end))
        yield _between(each, starts[index], max(end, last))


def _between(sentence: SpeakerSegment, start: float, end: float) -> SpeakerSegment:
    words = [*sentence.words]
    if words:
        words[0] = replace(words[0], start=start)
        words[-1] = replace(words[-1], end=end)
    return replace(sentence, start=start, end=end, words=tuple(words))
