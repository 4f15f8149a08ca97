"""The use case `find_speech`: where in a recording there is speech."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.core.services import Services
from gateway.core.workers import run_in
from tritone.contract import LISTEN_RATE
from tritone.levels import SlowGain
from tritone.windowing import FRAME, Samples, SpeechDetector, VadOptions

_BLOCKS: Final = 30
"""Blocks of a recording, about a second each, that are looked at in one go."""


@dataclass(frozen=True)
class SpanOptions:
    """What counts as a span of speech; all times in seconds."""

    threshold: float = 0.5
    """The probability at which speech begins."""
    release: float | None = None
    """The probability below which it ends; None: that of transcriptions, 0.15 lower or half."""
    least_speech: float = 0.0
    """Shorter spans are left out."""
    most_speech: float = float("inf")
    """Longer spans are cut where speech is least probable."""
    least_silence: float = 0.1
    """A shorter silence does not end a span."""
    pad: float = 0.03
    """Added on both sides of a span, as far as there is room."""


@dataclass(frozen=True)
class Span:
    """A stretch of speech, in samples at `LISTEN_RATE`, [start, end)."""

    start: int
    end: int


async def find_speech(services: Services, blocks: Iterable[Samples], options: SpanOptions) -> list[Span]:
    """Return the spans of speech in a recording, whose `blocks` are read in a thread, a few at a time.

    Quiet audio is raised for the detector. Raises `ModelUnavailable` without the detector's file, and what `blocks`
    raises.
    """
    await services.detectors.load()
    reader = _Probabilities(iter(blocks), services.detectors.new())
    while await run_in(services.workers.decoding, reader.read):
        pass
    return await run_in(services.workers.decoding, lambda: spans(reader.all(), reader.samples, options))


class _Probabilities:
    """Reads a recording, and keeps the probability of speech in each frame."""

    def __init__(self, blocks: Iterator[Samples], detect: SpeechDetector) -> None:
        self.samples = 0
        self._blocks = blocks
        self._detect = detect
        self._gain = SlowGain()
        self._rest = np.empty(0, np.float32)
        self._found: list[NDArray[np.float32]] = []

    def read(self) -> bool:
        """Read on; return False at the end."""
        read = list(itertools.islice(self._blocks, _BLOCKS))
        self.samples += sum(map(len, read))
        pcm = np.concatenate([self._rest, *read])
        if not read:
            pcm = np.pad(pcm, (0, -len(pcm) % FRAME))
        whole = len(pcm) // FRAME
        self._rest = pcm[whole * FRAME :]
        if whole:
            frames = pcm[: whole * FRAME].reshape(-1, FRAME)
            self._found.append(self._detect(self._gain.raised(frames, len(frames) * FRAME / LISTEN_RATE)))
        return bool(read)

    def all(self) -> NDArray[np.float32]:
        """Return the probability of every frame, the last of which may be short."""
        return np.concatenate(self._found) if self._found else np.empty(0, np.float32)


def spans(probability: NDArray[np.float32], samples: int, options: SpanOptions) -> list[Span]:
    """Return the spans of speech in order, none of which overlap.

    `probability` [n]: of speech in each frame of a recording of so many `samples`.
    """
    release = options.release if options.release is not None else VadOptions(options.threshold).release_threshold
    found: list[list[int]] = []
    inside, frame_seconds = False, FRAME / LISTEN_RATE
    for frame, value in enumerate(probability.tolist()):
        was, inside = inside, value >= (release if inside else options.threshold)
        if inside and not was and (not found or (frame - found[-1][1]) * frame_seconds >= options.least_silence):
            found.append([frame, frame])
        if inside:
            found[-1][1] = frame + 1
    pieces = [piece for start, end in found for piece in _pieces(probability, start, end, options.most_speech)]
    least = options.least_speech * LISTEN_RATE
    exact = [Span(start * FRAME, min(end * FRAME, samples)) for start, end in pieces]
    return _padded([span for span in exact if span.end - span.start >= least], samples, options.pad)


def _pieces(probability: NDArray[np.float32], start: int, end: int, seconds: float) -> Iterator[tuple[int, int]]:
    """Yield the frames [start, end) in pieces of at most `seconds`, cut in the second half of what fits."""
    most = max(1, int(min(seconds * LISTEN_RATE / FRAME, end)))
    while end - start > most:
        half = start + max(1, most // 2)
        cut = half + int(probability[half : start + most + 1].argmin())
        yield start, cut
        start = cut
    yield start, end


def _padded(found: list[Span], samples: int, seconds: float) -> list[Span]:
    """Return spans with so many seconds more on both sides; two that would meet share the silence between them."""
    pad = round(min(seconds * LISTEN_RATE, samples))
    ends = [0, *(span.end for span in found)]
    starts = [*(span.start for span in found), samples]
    padded = []
    for index, span in enumerate(found):
        before = span.start - ends[index] if index == 0 else (span.start - ends[index]) // 2
        last = index == len(found) - 1
        after = starts[index + 1] - span.end if last else (starts[index + 1] - span.end) // 2
        padded.append(Span(span.start - min(pad, before), span.end + min(pad, after)))
    return padded
