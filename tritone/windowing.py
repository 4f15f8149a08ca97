"""Cutting a recording of any length into windows that a transcription model can hear, at silences.

The recording streams through: blocks of PCM in, windows out, at most one window and one block in memory. Stretches
without speech are left out, because a model that is given silence invents words for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE, WINDOW_SECONDS

Samples = NDArray[np.float32]
"""Mono PCM at `LISTEN_RATE` Hz, -1 to 1."""
SpeechDetector = Callable[[Samples], NDArray[np.float32]]
"""Consecutive frames, [n, FRAME], to the probability of speech in each, [n]; it may carry state between calls."""

FRAME: Final = 512
"""Samples that one speech probability stands for: 32 ms."""
MAX_SAMPLES: Final = WINDOW_SECONDS * LISTEN_RATE

_HOLD = 0.15
"""Speech that has set in lasts until its probability is so far below the threshold."""


def _frames(seconds: float) -> int:
    return int(seconds * LISTEN_RATE / FRAME)


_MAX_FRAMES = MAX_SAMPLES // FRAME
_PAD_SECONDS = 0.4
"""Kept on both sides of speech: detectors miss soft consonants."""
_PAD = _frames(_PAD_SECONDS)
_LONG_SILENCE = _frames(5.0)
"""Worth a cut wherever in the window it lies."""
_LAST_RESORT = _frames(5.0)
"""Where speech never pauses, the cut falls within this much of the window's end."""


@dataclass(frozen=True, slots=True)
class Window:
    """One piece of a recording, at most `WINDOW_SECONDS` long."""

    start: int
    """Samples from the recording's start."""
    samples: Samples

    @property
    def start_seconds(self) -> float:
        """Seconds from the recording's start."""
        return self.start / LISTEN_RATE

    @property
    def seconds(self) -> float:
        """The window's own length."""
        return len(self.samples) / LISTEN_RATE


@dataclass(frozen=True, slots=True)
class VadOptions:
    """What counts as speech, and where it may be cut."""

    threshold: float = 0.5
    """The probability at which speech sets in."""
    lead: float = _PAD_SECONDS
    """Seconds that are kept before speech."""
    pause: float = 0.3
    """Seconds without speech that a cut may fall into; a shorter gap may lie inside a word."""


def split_at_silence(
    blocks: Iterable[Samples], detect: SpeechDetector, rules: VadOptions = VadOptions()
) -> Generator[Window]:
    """The windows of the recording whose PCM comes in `blocks` of any sizes, in order and without overlap.

    Each frame of speech is in exactly one window. What fits one window stays whole, less the silence around it. Where
    there is more, the window ends at the first long silence within its greatest length, else at the longest pause in
    the last third of that, else at the longest pause, else where speech is least probable shortly before the end.
    """
    tail = _PendingAudio(detect, rules)
    for block in blocks:
        tail.extend(block)
        yield from tail.full_windows()
    tail.close()
    yield from tail.full_windows()
    yield from tail.rest()


class _PendingAudio:
    """The part of the recording that is not yet in a window; it begins at speech, or at most the lead before."""

    def __init__(self, detect: SpeechDetector, rules: VadOptions) -> None:
        self._detect = detect
        self._onset, self._offset = rules.threshold, max(rules.threshold - _HOLD, rules.threshold / 2)
        self._lead = _frames(rules.lead)
        self._pause = rules.pause
        self._start = 0
        self._pcm = np.empty(0, np.float32)
        self._partial = np.empty(0, np.float32)
        self._probability = np.empty(0, np.float32)
        self._speech = np.empty(0, np.bool_)
        self._speaking = False

    def extend(self, block: Samples) -> None:
        """Take in the whole frames of `block` and of what earlier blocks left over."""
        samples = np.concatenate([self._partial, block])
        whole = len(samples) // FRAME * FRAME
        self._partial = samples[whole:]
        self._append(samples[:whole], samples[:whole])

    def close(self) -> None:
        """Take in the last frame, which may be short."""
        if self._partial.size:
            self._append(self._partial, np.pad(self._partial, (0, FRAME - self._partial.size)))

    def full_windows(self) -> Iterator[Window]:
        """The windows that later audio cannot change."""
        while len(self._pcm) > MAX_SAMPLES:
            yield self._take(split_point(self._probability, self._speech, self._pause))

    def rest(self) -> Iterator[Window]:
        """The window that holds all that is left, if there is speech in it."""
        if self._speech.any():
            yield self._take(len(self._speech))

    def _append(self, samples: Samples, framed: Samples) -> None:
        if not samples.size:
            return
        probability = self._detect(framed.reshape(-1, FRAME))
        speech = np.empty(len(probability), np.bool_)
        for i, p in enumerate(probability.tolist()):
            self._speaking = p >= (self._offset if self._speaking else self._onset)
            speech[i] = self._speaking
        self._pcm = np.concatenate([self._pcm, samples])
        self._probability = np.concatenate([self._probability, probability])
        self._speech = np.concatenate([self._speech, speech])
        self._drop_leading_silence()

    def _take(self, frames: int) -> Window:
        """Cut the first `frames` off, as a window without the silence at its end."""
        spoken = int(np.flatnonzero(self._speech[:frames])[-1]) + 1
        end = min(frames, spoken + _PAD)
        window = Window(self._start, self._pcm[: end * FRAME].copy())
        self._drop(frames)
        self._drop_leading_silence()
        return window

    def _drop_leading_silence(self) -> None:
        silent = int(self._speech.argmax()) if self._speech.any() else len(self._speech)
        self._drop(max(0, silent - self._lead))

    def _drop(self, frames: int) -> None:
        self._start += frames * FRAME
        self._pcm = self._pcm[frames * FRAME :]
        self._probability = self._probability[frames:]
        self._speech = self._speech[frames:]


def split_point(probability: NDArray[np.float32], speech: NDArray[np.bool_], pause: float) -> int:
    """Where a window of more than enough audio ends, in frames from its beginning.

    `probability` and `speech` [n], n at least a window's length, say of each frame how probable speech is in it, and
    whether there is any; `pause` is how many seconds without are one.
    """
    pauses = _pauses(speech[:_MAX_FRAMES], max(1, _frames(pause)))
    for start, end in pauses:
        if end - start >= _LONG_SILENCE:
            return (start + end) // 2
    late = [gap for gap in pauses if sum(gap) // 2 >= _MAX_FRAMES * 2 // 3]
    if pauses:
        start, end = max(late or pauses, key=lambda gap: (gap[1] - gap[0], gap[0]))
        return (start + end) // 2
    first = _MAX_FRAMES - _LAST_RESORT
    smooth = np.convolve(probability[first - 2 : _MAX_FRAMES + 2], np.full(5, 0.2), "valid")
    return first + int(smooth.argmin())


def _pauses(speech: NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """The gaps of `least` frames or more, [start, end)."""
    spoken = np.flatnonzero(np.append(speech, True))
    gaps = zip(spoken[:-1] + 1, spoken[1:], strict=True)
    return [(int(start), int(end)) for start, end in gaps if end - start >= least]
