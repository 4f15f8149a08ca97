"""Diarization: cut a transcript at sentences and pauses, and assign each piece to a speaker by its voice."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count, pairwise, product
from typing import Final

import numpy as np

from gateway.core.clustering import average_linkage
from gateway.core.speaker_encoder import SHORTEST, SpeakerEmbedding, SpeakerEncoder
from tritone.contract import LISTEN_RATE
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Transcript, Word
from tritone.windowing import Samples, Window

_PAUSE: Final = 0.5
"""Seconds between two words in which the speaker may have changed."""
_SENTENCE_END: Final = re.compile(r"[.?!。？！…][\"'”’»)\]]*$")
CLEAR: Final = 1.5
"""Seconds of speech from which a new speaker can be recognized."""
ALIKE: Final = 0.42
"""The least cosine between two pieces of one speaker: the value at which as many pairs of one speaker fall below it as
pairs of two speakers reach it, 0.7 % each. Measured over 27 speakers (22 of Kokoro's English voices, and people in read
speech and on the telephone), in pieces of 1.75 s (one speaker mostly 0.5-0.8, two below 0.37) and of up to 6 s
(0.66-0.9, below 0.41). Voices that are mixed from one another, as Kokoro's af_heart and af_bella (0.7), stay one.
"""


@dataclass(frozen=True, slots=True)
class SpeakerSegment(Segment):
    """A piece of a segment with one speaker."""

    embedding: SpeakerEmbedding | None = field(default=None, compare=False)
    """None for a piece that is too short for one."""
    speaker: str = ""

    @property
    def seconds(self) -> float:
        """The piece's length."""
        return self.end - self.start


def with_embeddings(window: Window, transcript: Transcript, encoder: SpeakerEncoder) -> Transcript:
    """Return the transcript cut into `SpeakerSegment`s with their embeddings. It runs a network: call it in a thread.

    Segments are cut at the times of their words.
    """
    pieces = (piece for segment in transcript.segments for piece in _pieces(segment))
    return replace(transcript, segments=tuple(_encoded(piece, window.samples, encoder) for piece in pieces))


class Speakers:
    """The speakers of one recording: those `known` by name, and others, called A, B, and so on as they appear.

    The windows of a recording are assigned in order, each with the knowledge of the earlier ones only. So a stream has
    the same speakers as a response in one piece, and only one embedding a speaker is kept of a recording.
    """

    def __init__(self, known: Mapping[str, SpeakerEmbedding]) -> None:
        self._sums: dict[str, SpeakerEmbedding] = dict(known)
        """The sum of each speaker's embeddings."""
        self._letters = (letter for letter in _letters() if letter not in known)
        self._last = ""

    def assign(self, window: WindowTranscript) -> WindowTranscript:
        """Return `window` with the speakers of its segments; sentences of one speaker are joined again."""
        pieces = [segment for segment in window.segments if isinstance(segment, SpeakerSegment)]
        for group in _clusters([p.embedding for p in pieces if p.embedding is not None and p.seconds >= CLEAR]):
            total = np.sum(group, axis=0)
            name = self._nearest(total, ALIKE) or next(self._letters)
            self._sums[name] = self._sums.get(name, 0) + total
        assigned = [replace(piece, speaker=self._speaker(piece)) for piece in pieces]
        return replace(window, segments=tuple(_joined(assigned)))

    def _speaker(self, piece: SpeakerSegment) -> str:
        """Return the speaker with the nearest embedding; for a piece without one, the speaker before it."""
        if piece.embedding is not None:
            self._last = self._nearest(piece.embedding)
        if not self._last:
            self._last = next(iter(self._sums), "") or next(self._letters)
        return self._last

    def _nearest(self, embedding: SpeakerEmbedding, least: float = -1.0) -> str:
        """Return the speaker with the largest cosine to `embedding`; empty if none reaches `least`."""
        cosines = {name: _cosine(embedding, known) for name, known in self._sums.items()}
        name = max(cosines, key=cosines.__getitem__, default="")
        return name if name and cosines[name] >= least else ""


def _pieces(segment: Segment) -> Iterator[Segment]:
    """Yield `segment` cut after sentences and at pauses; its tokens stay with the first piece."""
    if not segment.words:
        yield segment
        return
    words = segment.words
    ends = [i for i in range(1, len(words)) if _is_cut(words[i - 1], words[i])]
    tokens = segment.tokens
    for start, end in pairwise([0, *ends, len(words)]):
        piece = words[start:end]
        text = "".join(word.text for word in piece)
        yield replace(segment, start=piece[0].start, end=piece[-1].end, text=text, words=piece, tokens=tokens)
        tokens = ()


def _is_cut(word: Word, following: Word) -> bool:
    return bool(_SENTENCE_END.search(word.text)) or following.start - word.end >= _PAUSE


def _encoded(piece: Segment, samples: Samples, encoder: SpeakerEncoder) -> SpeakerSegment:
    """Return `piece` with the embedding of its part of `samples`."""
    part = samples[int(piece.start * LISTEN_RATE) : int(piece.end * LISTEN_RATE)]
    embedding = encoder.encode(part) if len(part) >= SHORTEST * LISTEN_RATE else None
    return SpeakerSegment(**{f.name: getattr(piece, f.name) for f in fields(Segment)}, embedding=embedding)


def _clusters(embeddings: Sequence[SpeakerEmbedding]) -> list[list[SpeakerEmbedding]]:
    """Return `embeddings` in groups, in the order of their first ones."""
    return [[embeddings[index] for index in group] for group in average_linkage(embeddings, 1 - ALIKE)]


def _cosine(one: SpeakerEmbedding, other: SpeakerEmbedding) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _joined(pieces: Iterable[SpeakerSegment]) -> Iterator[SpeakerSegment]:
    """Join the pieces of one sentence by one speaker, and "Dr." with what follows, which is too short for a voice."""
    last = None
    for piece in pieces:
        if last and last.speaker == piece.speaker and not _ends_sentence(last, piece):
            last = replace(
                last,
                end=piece.end,
                text=last.text + piece.text,
                tokens=last.tokens + piece.tokens,
                words=last.words + piece.words,
                embedding=piece.embedding,
            )
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last


def _ends_sentence(piece: SpeakerSegment, following: SpeakerSegment) -> bool:
    """Return whether a sentence ends with `piece`; a mark is not enough if `piece` may be an abbreviation."""
    abbreviated = piece.embedding is None and following.start - piece.end < _PAUSE
    return bool(_SENTENCE_END.search(piece.text)) and not abbreviated


def _letters() -> Iterator[str]:
    """Yield A to Z, then AA to ZZ, and so on."""
    for length in count(1):
        yield from map("".join, product(string.ascii_uppercase, repeat=length))
