"""The use case `find_speaker_turns`: who speaks when in a recording, without its words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.core.clustering import average_linkage
from gateway.core.diarization import ALIKE, CLEAR
from gateway.core.errors import ModelUnavailable
from gateway.core.services import Services
from gateway.core.speaker_encoder import SHORTEST, SpeakerEmbedding, SpeakerEncoder
from gateway.core.speech_spans import Span, SpanOptions, find_speech
from gateway.core.workers import run_in
from tritone.contract import LISTEN_RATE
from tritone.windowing import Samples

_SPANS: Final = SpanOptions(least_silence=0.1, most_speech=3.0, pad=0.0)
"""Speakers change in pauses; a long span without one is cut where speech is least probable."""
_CHANGE: Final = 0.15
"""What a change of the speaker without a pause must gain, in seconds of speech times cosine, to be believed."""
_AT_ONCE: Final = 1500
"""Spans that are grouped at once, about an hour of speech: the work grows by their square."""
_BATCH: Final = 8
"""Spans that are encoded in one go; others get the thread between two."""


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
    read: Callable[[], Iterator[Samples]],
    options: TurnOptions,
    known: Mapping[str, SpeakerEmbedding] | None = None,
) -> SpeakerTurns:
    """Return who speaks when. `read` begins to read the recording, which is read twice, in blocks at `LISTEN_RATE`.

    Only the blocks in work are in memory. Raises `ModelUnavailable` without the networks' files, and what `read`
    raises.
    """
    if problem := services.speaker_encoder.missing:
        raise ModelUnavailable(problem)
    spans = await find_speech(services, read(), _SPANS)
    encoded = _encoded(read(), spans, services.speaker_encoder)
    embeddings: list[SpeakerEmbedding | None] = []
    while batch := await run_in(services.workers.voices, lambda: list(itertools.islice(encoded, _BATCH))):
        embeddings += batch
    return await run_in(services.workers.voices, assign, spans, embeddings, options, known or {})


def assign(
    spans: Sequence[Span],
    embeddings: Sequence[SpeakerEmbedding | None],
    options: TurnOptions,
    known: Mapping[str, SpeakerEmbedding],
) -> SpeakerTurns:
    """Return the turns in spans of speech; an embedding is None where its span is too short for one."""
    seconds = [(span.end - span.start) / LISTEN_RATE for span in spans]
    clear = [each for each, length in zip(embeddings, seconds, strict=True) if each is not None and length >= CLEAR]
    if not clear:  # all spans are short: better one of them than none
        clear = [each for each in embeddings if each is not None]
    voices = _voices(clear, options)
    pauses = [0.0, *((after.start - span.end) / LISTEN_RATE for span, after in pairwise(spans))]
    speakers = _likeliest(embeddings, seconds, pauses[: len(spans)], voices)
    order = {speaker: index for index, speaker in enumerate(dict.fromkeys(speakers))}
    names = {order[index]: name for index, name in _named(voices, known).items() if index in order}
    turns = (
        Turn(span.start / LISTEN_RATE, span.end / LISTEN_RATE, order[speaker])
        for span, speaker in zip(spans, speakers, strict=True)
    )
    return SpeakerTurns([turn for turn in _joined(turns, options.least_gap) if _lasts(turn, options.least_turn)], names)


def _encoded(
    blocks: Iterator[Samples], spans: Sequence[Span], encoder: SpeakerEncoder
) -> Iterator[SpeakerEmbedding | None]:
    """Yield the embedding of each span; None where it is too short."""
    held, first = np.empty(0, np.float32), 0
    for span in spans:
        while first + len(held) < span.end and (block := next(blocks, None)) is not None:
            passed = max(0, min(span.start - first, len(held)))
            held, first = np.concatenate([held[passed:], block]), first + passed
        samples = held[span.start - first : span.end - first]
        yield encoder.encode(samples) if len(samples) >= SHORTEST * LISTEN_RATE else None


def _voices(embeddings: Sequence[SpeakerEmbedding], options: TurnOptions) -> list[SpeakerEmbedding]:
    """Return the mean embedding of each speaker, a unit vector."""
    voices = list(embeddings)
    weights = [1] * len(voices)
    # A long recording in portions, whose speakers are grouped in turn.
    while len(voices) > _AT_ONCE:
        portions = [slice(start, start + _AT_ONCE) for start in range(0, len(voices), _AT_ONCE)]
        means = [
            _means(voices[each], weights[each], average_linkage(voices[each], options.distance)) for each in portions
        ]
        if sum(len(found) for found, _ in means) == len(voices):
            break
        voices = [voice for found, _ in means for voice in found]
        weights = [weight for _, found in means for weight in found]
    return _means(voices, weights, _groups(voices, options))[0]


def _means(
    voices: Sequence[SpeakerEmbedding], weights: Sequence[int], groups: Sequence[Sequence[int]]
) -> tuple[list[SpeakerEmbedding], list[int]]:
    sums = [np.sum([weights[i] * voices[i] for i in group], axis=0) for group in groups]
    return [each / np.linalg.norm(each) for each in sums], [sum(weights[i] for i in group) for group in groups]


def _groups(voices: Sequence[SpeakerEmbedding], options: TurnOptions) -> list[list[int]]:
    """Return the groups of similar voices, as many as there may be."""
    groups = average_linkage(voices, options.distance)
    least, most = options.least_speakers or 1, options.most_speakers or len(voices)
    wanted = min(max(len(groups), least), most)
    low, high = 0.0, 2.0
    while len(groups) != wanted and high - low > 1e-4:
        distance = (low + high) / 2
        groups = average_linkage(voices, distance)
        low, high = (distance, high) if len(groups) > wanted else (low, distance)
    return groups


def _likeliest(
    embeddings: Sequence[SpeakerEmbedding | None],
    seconds: Sequence[float],
    pauses: Sequence[float],
    voices: Sequence[SpeakerEmbedding],
) -> list[int]:
    """Return the speaker of each span: those that fit best together, if a change has its price (Viterbi).

    `seconds`: of each span; `pauses`: before it.
    """
    if not voices:
        return [0] * len(seconds)
    known = np.stack(voices)
    likeness: list[NDArray[np.float64]] = [
        length * (known @ each if each is not None else np.zeros(len(known)))
        for each, length in zip(embeddings, seconds, strict=True)
    ]
    best = np.zeros(len(known))
    before: list[NDArray[np.intp]] = []
    for gains, pause in zip(likeness, pauses, strict=True):
        changed = best.max() - _CHANGE / (1 + pause)
        before.append(np.where(best >= changed, np.arange(len(known)), best.argmax()))
        best = np.maximum(best, changed) + gains
    speaker = int(best.argmax())
    found = []
    for came_from in reversed(before):
        found.append(speaker)
        speaker = int(came_from[speaker])
    return found[::-1]


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


def _lasts(turn: Turn, seconds: float) -> bool:
    return turn.end - turn.start >= seconds
