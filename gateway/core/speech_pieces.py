"""Speech in short pieces, each with the voice around it: what is grouped to find out who speaks when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from gateway.core.services import Services
from gateway.core.speaker_encoder import SHORTEST, SpeakerEmbedding, SpeakerEncoder
from gateway.core.speech_spans import Span, SpanOptions, spans
from gateway.core.workers import run_in
from tritone.contract import LISTEN_RATE
from tritone.windowing import FRAME, Samples, SpeechDetector, Window

_SPANS: Final = SpanOptions(least_silence=0.1, most_speech=10.0, pad=0.0)
"""Speakers change in pauses; a voice is heard between two of them."""
_PIECE: Final = 0.5
"""Seconds of a piece, about: a change of the speaker without a pause is found as exactly."""
_VOICE: Final = 1.5
"""Seconds around the middle of a piece from which its voice is computed: shorter ones vary, longer ones are mixed."""
_CONTIGUOUS: Final = 0.05
"""Seconds; pieces that are closer have no pause between them."""
_BLOCK: Final = 3.0
"""Seconds of the longest block."""


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """A piece of speech; its times are in seconds from the recording's start."""

    start: float
    end: float
    embedding: SpeakerEmbedding | None
    """None where the speech between two pauses is too short for one."""

    @property
    def seconds(self) -> float:
        """The piece's length."""
        return self.end - self.start

    def is_after_pause(self, before: SpeechPiece) -> bool:
        """Return whether there is a pause between a piece and this one."""
        return self.start - before.end >= _CONTIGUOUS


async def speech_in(services: Services, window: Window) -> list[SpeechPiece]:
    """Return the speech in a window of a recording.

    Raises `ModelUnavailable` without the detector's file.
    """
    await services.detectors.load()
    networks = services.detectors.new(), services.speaker_encoder
    return await run_in(services.workers.voices, speech_pieces, window.samples, *networks, window.start_seconds)


def speech_pieces(
    samples: Samples, detect: SpeechDetector, encoder: SpeakerEncoder, begin: float = 0.0
) -> list[SpeechPiece]:
    """Return the speech in `samples` [n], which begin at so many seconds of a recording.

    `detect` is new. It runs networks, the encoder once over all speech: call it in a thread.
    """
    frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    found = spans(detect(frames), len(samples), _SPANS) if len(frames) else []
    return [piece for span in found for piece in _pieces(samples, span, encoder, begin)]


def blocks(pieces: Sequence[SpeechPiece]) -> Iterator[tuple[SpeakerEmbedding, float]]:
    """Yield the mean embeddings of neighbouring pieces without a pause between them, and their seconds, about 3."""
    group: list[SpeechPiece] = []
    for before, piece in pairwise([None, *pieces]):
        assert piece
        if group and ((before and piece.is_after_pause(before)) or piece.end - group[0].start > _BLOCK + _CONTIGUOUS):
            yield from _mean(group)
            group = []
        group.append(piece)
    yield from _mean(group)


def _pieces(samples: Samples, span: Span, encoder: SpeakerEncoder, begin: float) -> Iterator[SpeechPiece]:
    """Yield the pieces of a span, all of about the same length."""
    length = span.end - span.start
    count = max(1, round(length / LISTEN_RATE / _PIECE))
    edges = [round(length * index / count) for index in range(count + 1)]
    embeddings: Sequence[SpeakerEmbedding | None] = [None] * count
    if length >= SHORTEST * LISTEN_RATE:
        width = min(round(_VOICE * LISTEN_RATE), length)
        starts = [min(max((a + b - width) // 2, 0), length - width) for a, b in pairwise(edges)]
        parts = [slice(start, start + width) for start in starts]
        embeddings = encoder.encode_parts(samples[span.start : span.end], parts)
    for (start, end), embedding in zip(pairwise(edges), embeddings, strict=True):
        yield SpeechPiece(
            begin + (span.start + start) / LISTEN_RATE, begin + (span.start + end) / LISTEN_RATE, embedding
        )


def _mean(group: Sequence[SpeechPiece]) -> Iterator[tuple[SpeakerEmbedding, float]]:
    voices = [piece.embedding for piece in group if piece.embedding is not None]
    if voices:
        total = np.sum(voices, axis=0)
        yield total / np.linalg.norm(total), group[-1].end - group[0].start
