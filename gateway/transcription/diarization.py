"""Who said what: a transcript cut at sentences and pauses, each piece given to a speaker by its voice."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count, pairwise, product
from typing import Final

import numpy as np

from gateway.transcription.voices import SHORTEST, Voice, Voices
from tritone.contract import LISTEN_RATE
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Transcript, Word
from tritone.windowing import Samples, Window

_PAUSE: Final = 0.5
"""Seconds between two words, in which another may have begun to speak."""
_SENTENCE_END: Final = re.compile(r"[.?!。？！…][\"'”’»)\]]*$")
_CLEAR: Final = 1.5
"""Seconds of speech that tell a voice well enough to make out a new speaker by."""
_ALIKE: Final = 0.42
"""The cosine between two pieces of one speaker, at the least: where as many pairs of one speaker fall below as pairs of
two reach it, 0.7 % each. Counted over 27 speakers, 22 of them Kokoro's English voices, and the others people in read
speech and on the telephone, in pieces of 1.75 s (one speaker mostly 0.5-0.8, two below 0.37) and of up to 6 s
(0.66-0.9, below 0.41). Voices that are mixed from one another, as Kokoro's af_heart and af_bella (0.7), stay one.
"""


@dataclass(frozen=True, slots=True)
class Utterance(Segment):
    """A piece of a segment that one person says."""

    voice: Voice | None = field(default=None, compare=False)
    """None where the piece is too short to tell."""
    speaker: str = ""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


def with_voices(window: Window, transcript: Transcript, voices: Voices) -> Transcript:
    """The same, cut into utterances with their voices. It runs a network: it belongs in a thread.

    Segments need their words, whose times say where to cut.
    """
    pieces = (piece for segment in transcript.segments for piece in _pieces(segment))
    return replace(transcript, segments=tuple(_heard(piece, window.samples, voices) for piece in pieces))


class Speakers:
    """The speakers of one recording, `known` by name or made out on the way and then called A, B, and so on.

    A recording's passages come in order, and each is judged by itself and by those before it: so a stream says the same
    as an answer in one piece, and nothing is kept of a recording but a voice a speaker.
    """

    def __init__(self, known: Mapping[str, Voice]) -> None:
        self._sums: dict[str, Voice] = dict(known)
        """Each speaker's voice, the longer the more was heard of it."""
        self._letters = (letter for letter in _letters() if letter not in known)
        self._last = ""

    def told(self, passage: WindowTranscript) -> WindowTranscript:
        """The same, its utterances with their speakers; sentences that one speaker says are whole again."""
        utterances = [segment for segment in passage.segments if isinstance(segment, Utterance)]
        for group in _clusters([u.voice for u in utterances if u.voice is not None and u.seconds >= _CLEAR]):
            total = np.sum(group, axis=0)
            name = self._nearest(total, _ALIKE) or next(self._letters)
            self._sums[name] = self._sums.get(name, 0) + total
        told = [replace(utterance, speaker=self._speaker(utterance)) for utterance in utterances]
        return replace(passage, segments=tuple(_joined(told)))

    def _speaker(self, utterance: Utterance) -> str:
        """The one with the nearest voice; where there is no voice to be told, whoever spoke before."""
        if utterance.voice is not None:
            self._last = self._nearest(utterance.voice)
        if not self._last:
            self._last = next(iter(self._sums), "") or next(self._letters)
        return self._last

    def _nearest(self, voice: Voice, least: float = -1.0) -> str:
        """The speaker whose voice has the largest cosine with `voice`, if it is `least` or more; else nobody."""
        likenesses = {name: _cosine(voice, known) for name, known in self._sums.items()}
        name = max(likenesses, key=likenesses.__getitem__, default="")
        return name if name and likenesses[name] >= least else ""


def _pieces(segment: Segment) -> Iterator[Segment]:
    """`segment` cut behind sentences and at pauses; its tokens stay with the first piece."""
    if not segment.words:
        yield segment
        return
    words = segment.words
    ends = [i for i in range(1, len(words)) if _apart(words[i - 1], words[i])]
    tokens = segment.tokens
    for start, end in pairwise([0, *ends, len(words)]):
        said = words[start:end]
        text = "".join(word.text for word in said)
        yield replace(segment, start=said[0].start, end=said[-1].end, text=text, words=said, tokens=tokens)
        tokens = ()


def _apart(word: Word, following: Word) -> bool:
    return bool(_SENTENCE_END.search(word.text)) or following.start - word.end >= _PAUSE


def _heard(piece: Segment, samples: Samples, voices: Voices) -> Utterance:
    """`piece` with the voice in its part of `samples`."""
    said = samples[int(piece.start * LISTEN_RATE) : int(piece.end * LISTEN_RATE)]
    voice = voices.voice(said) if len(said) >= SHORTEST * LISTEN_RATE else None
    return Utterance(**{f.name: getattr(piece, f.name) for f in fields(Segment)}, voice=voice)


def _clusters(voices: Sequence[Voice]) -> list[list[Voice]]:
    """`voices` in groups, in the order of their first ones."""
    if len(voices) < 2:
        return [[voice] for voice in voices]
    # 22 MB, in a gateway that may never be asked who speaks.
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415

    labels = fcluster(linkage(np.stack(voices), "average", "cosine"), 1 - _ALIKE, "distance")
    groups: dict[int, list[Voice]] = {}
    for label, voice in zip(labels.tolist(), voices, strict=True):
        groups.setdefault(label, []).append(voice)
    return list(groups.values())


def _cosine(one: Voice, other: Voice) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _joined(utterances: Iterable[Utterance]) -> Iterator[Utterance]:
    """Pieces of one sentence that one speaker says, as one; so is "Dr." with what follows, too short for a voice."""
    last = None
    for utterance in utterances:
        if last and last.speaker == utterance.speaker and not _ends(last, utterance):
            last = replace(
                last,
                end=utterance.end,
                text=last.text + utterance.text,
                tokens=last.tokens + utterance.tokens,
                words=last.words + utterance.words,
                voice=utterance.voice,
            )
            continue
        if last:
            yield last
        last = utterance
    if last:
        yield last


def _ends(piece: Utterance, following: Utterance) -> bool:
    """Whether a sentence ends with `piece`: with its mark alone not, where it is as short as an abbreviation."""
    abbreviated = piece.voice is None and following.start - piece.end < _PAUSE
    return bool(_SENTENCE_END.search(piece.text)) and not abbreviated


def _letters() -> Iterator[str]:
    """A to Z, then AA to ZZ, and so on."""
    for length in count(1):
        yield from map("".join, product(string.ascii_uppercase, repeat=length))
