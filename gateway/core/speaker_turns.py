"""Who speaks when in a recording: its pieces of speech are grouped by their voices, and the speakers take turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.audio.decoding import AudioFile
from gateway.core.best_path import best_path
from gateway.core.clustering import Group, average_linkage, speaker_groups
from gateway.core.errors import ModelUnavailable
from gateway.core.services import Services
from gateway.core.speaker_encoder import ALIKE, SpeakerEmbedding
from gateway.core.speech_pieces import SpeechPiece, blocks, speech_in
from gateway.core.workers import run_in
from tritone.transcribe_windows import iter_windows

_CLEAR: Final = 1.5
"""Seconds of speech from which a new speaker can be recognized."""
_CHANGE: Final = 0.15
"""What a change of the speaker without a pause must gain, in seconds of speech times cosine, to be believed."""
_PAUSE: Final = 0.2
"""Seconds; a pause so long halves the price of a change."""
_ROUNDS: Final = 2
"""Times that the voices are computed again from the turns that they led to."""
_GROUPED: Final = 400
"""Blocks of speech, twenty minutes, of which each may be joined with each."""
_SURE: Final = 0.3
"""The mean cosine distance up to which blocks are joined beforehand in a longer recording."""
_LESS_SURE: Final = 0.05
"""What is added to it for each round in which too many remain."""
_AT_ONCE: Final = 1500
"""Blocks that are joined beforehand at once, about an hour: the work grows by their square."""


@dataclass(frozen=True)
class TurnOptions:
    """What counts as a turn, and how many speakers there are; None: as many as there are voices."""

    least_speakers: int | None = None
    most_speakers: int | None = None
    distance: float = 1 - ALIKE
    """The largest mean cosine distance between the pieces of one speaker."""
    least_turn: float = 0.3
    """Seconds; shorter turns are left out."""
    least_gap: float = 0.5
    """Seconds; a shorter silence does not end a turn."""


@dataclass(frozen=True)
class Turn:
    """A stretch of speech of one speaker, in seconds."""

    start: float
    end: float
    speaker: int
    """Counted from 0, in the order in which they begin to speak."""


@dataclass(frozen=True)
class SpeakerTurns:
    """All turns of a recording, in order, and the names of the speakers that are known."""

    turns: Sequence[Turn]
    names: Mapping[int, str]


async def find_speaker_turns(
    services: Services,
    audio: AudioFile,
    options: TurnOptions,
    known: Mapping[str, SpeakerEmbedding] | None = None,
) -> SpeakerTurns:
    """Return who speaks when in a recording at `LISTEN_RATE`, which is read once, a window at a time.

    Raises `ModelUnavailable` without the networks' files, and what reading raises.
    """
    threads = services.workers
    if problem := services.speaker_encoder.missing:
        raise ModelUnavailable(problem)
    await services.detectors.load()
    pieces: list[SpeechPiece] = []
    cuts = iter_windows(audio.clean_blocks(), services.detectors.new(), stop=audio.stop, threads=threads.decoding)
    async with aclosing(cuts) as windows:
        async for window in windows:
            pieces += await speech_in(services, window)
    return await run_in(threads.voices, assign, pieces, options, known or {})


def assign(pieces: Sequence[SpeechPiece], options: TurnOptions, known: Mapping[str, SpeakerEmbedding]) -> SpeakerTurns:
    """Return the turns of a recording with these pieces of speech, in order."""
    voices = _voices(clear_voices(pieces), options)
    voices += _without_group(voices, known, options)
    speakers = likeliest(pieces, voices)
    for _ in range(_ROUNDS):
        voices = _revised(pieces, speakers, voices)
        speakers = likeliest(pieces, voices)
    order = {speaker: index for index, speaker in enumerate(dict.fromkeys(speakers))}
    names = {order[index]: name for index, name in _named(voices, known).items() if index in order}
    return SpeakerTurns(turns_of(pieces, [order[speaker] for speaker in speakers], options), names)


def turns_of(pieces: Sequence[SpeechPiece], speakers: Sequence[int], options: TurnOptions) -> list[Turn]:
    """Return the turns that the pieces of these speakers make."""
    turns = (Turn(piece.start, piece.end, speaker) for piece, speaker in zip(pieces, speakers, strict=True))
    return [turn for turn in _joined(turns, options.least_gap) if turn.end - turn.start >= options.least_turn]


def clear_voices(pieces: Sequence[SpeechPiece]) -> list[SpeakerEmbedding]:
    """Return the voices of the blocks that are long enough to know a speaker by; if none is, those of all."""
    found = list(blocks(pieces))
    return [voice for voice, seconds in found if seconds >= _CLEAR] or [voice for voice, _ in found]


def likeliest(pieces: Sequence[SpeechPiece], voices: Sequence[SpeakerEmbedding]) -> list[int]:
    """Return the voice of each piece: those that fit best together, if a change has its price."""
    if not voices or not pieces:
        return [0] * len(pieces)
    silent = np.zeros_like(voices[0])
    spoken = [silent if piece.embedding is None else piece.seconds * piece.embedding for piece in pieces]
    likeness = np.stack(spoken) @ np.stack(voices).T
    ends = [pieces[0].start, *(piece.end for piece in pieces[:-1])]
    pauses = (piece.start - end for piece, end in zip(pieces, ends, strict=True))
    return best_path(likeness, (_CHANGE / (1 + pause / _PAUSE) for pause in pauses))


def _voices(embeddings: Sequence[SpeakerEmbedding], options: TurnOptions) -> list[SpeakerEmbedding]:
    """Return the mean embedding of each speaker, a unit vector."""
    if not embeddings:
        return []
    groups = [Group(each, 1) for each in embeddings]
    distance = _SURE
    while len(groups) > _GROUPED:
        # Of a long recording first those that are surely of one speaker, in portions.
        portions = [groups[start : start + _AT_ONCE] for start in range(0, len(groups), _AT_ONCE)]
        groups = [group for portion in portions for group in _alike(portion, distance)]
        distance += _LESS_SURE
    least, most = options.least_speakers or 1, options.most_speakers
    found = speaker_groups(groups, 1 - options.distance, least=least, most=most)
    return [group.mean for group in found]


def _alike(groups: Sequence[Group], distance: float) -> list[Group]:
    together = average_linkage([group.total for group in groups], distance)
    return [
        Group(np.sum([groups[index].total for index in each], axis=0), sum(groups[index].count for index in each))
        for each in together
    ]


def _revised(
    pieces: Sequence[SpeechPiece], speakers: Sequence[int], voices: Sequence[SpeakerEmbedding]
) -> list[SpeakerEmbedding]:
    """Return each voice as the mean of the pieces that it has, as it was if it has none."""
    sums = [np.zeros_like(voice) for voice in voices]
    for piece, speaker in zip(pieces, speakers, strict=True):
        if piece.embedding is not None:
            sums[speaker] += piece.seconds * piece.embedding
    return [total / np.linalg.norm(total) if total.any() else voice for total, voice in zip(sums, voices, strict=True)]


def _without_group(
    voices: Sequence[SpeakerEmbedding], known: Mapping[str, SpeakerEmbedding], options: TurnOptions
) -> list[SpeakerEmbedding]:
    """Return the known voices that are unlike all others, as far as there may be more: they may say little."""
    room = None if options.most_speakers is None else max(0, options.most_speakers - len(voices))
    return [each for each in known.values() if all(each @ voice < ALIKE for voice in voices)][:room]


def _named(voices: Sequence[SpeakerEmbedding], known: Mapping[str, SpeakerEmbedding]) -> dict[int, str]:
    """Return the names of the voices that are alike to a known one, the most alike first; each name once."""
    pairs = sorted(
        ((float(voice @ known[name]), index, name) for index, voice in enumerate(voices) for name in known),
        reverse=True,
    )
    names: dict[int, str] = {}
    for likeness, index, name in pairs:
        if likeness >= ALIKE and index not in names and name not in names.values():
            names[index] = name
    return names


def _joined(turns: Iterable[Turn], least_gap: float) -> Iterator[Turn]:
    """Join the turns of one speaker between which there is less than `least_gap` seconds."""
    last: Turn | None = None
    for turn in turns:
        if last and turn.speaker == last.speaker and turn.start - last.end < least_gap:
            last = replace(last, end=turn.end)
            continue
        if last:
            yield last
        last = turn
    if last:
        yield last
