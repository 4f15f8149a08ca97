"""Split a recording of any length at silences, into windows that a transcription model can take.

The recording streams through: blocks of PCM in, windows out, at most one window and one block in memory. Stretches
without speech are left out, because transcription models invent words for silence.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tritone.contract import LISTEN_RATE, WINDOW_SECONDS
from tritone.levels import SlowGain, gain_to_audible, levels, local_gains, part_gains

Samples = NDArray[np.float32]
"""Mono PCM at `LISTEN_RATE` Hz, -1 to 1."""
SpeechDetector = Callable[[Samples], NDArray[np.float32]]
"""Maps consecutive frames, [n, FRAME], to the probability of speech in each, [n]; may keep state between calls."""

FRAME: Final = 512
"""Samples in a frame, which has one speech probability: 32 ms."""
MAX_SAMPLES: Final = WINDOW_SECONDS * LISTEN_RATE
"""The length of a usual window."""

_HYSTERESIS = 0.15
"""Speech that has begun lasts until its probability falls this far below the threshold."""


def _frames(seconds: float) -> int:
    return int(seconds * LISTEN_RATE / FRAME)


_PAD_SECONDS = 0.4
"""Audio that is kept on both sides of speech, because detectors miss soft consonants."""
_PAD = _frames(_PAD_SECONDS)
_LONG_SILENCE = _frames(5.0)
"""A silence this long ends the window wherever it lies."""
_LAST_RESORT = _frames(5.0)
"""The last frames of a window; a cut in speech that never pauses falls into them."""
_SILENT = 2**-15
"""Samples below it are silence: less than the least step of 16 bits."""
_SHORTEST_FOUND = _frames(0.2)
"""The shortest speech that the second look at a recording adds; a note of music may look like less."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a recording, at most a window long."""

    start: int
    """Samples from the recording's start."""
    samples: Samples
    whole: bool = False
    """It holds all speech of the recording, and was not cut from more."""

    @property
    def start_seconds(self) -> float:
        """Seconds from the recording's start."""
        return self.start / LISTEN_RATE

    @property
    def seconds(self) -> float:
        """The window's length."""
        return len(self.samples) / LISTEN_RATE


@dataclass(frozen=True, slots=True)
class VadOptions:
    """The rules of speech detection: where speech begins and ends, and where it may be cut."""

    threshold: float = 0.5
    """The probability at which speech begins."""
    pad_before: float = _PAD_SECONDS
    """Seconds of audio that are kept before speech."""
    pause: float = 0.3
    """The shortest silence, in seconds, that a cut may fall into; a shorter gap may lie inside a word."""

    @property
    def release_threshold(self) -> float:
        """The probability below which speech ends: lower than `threshold`, because speech fades before it pauses."""
        return max(self.threshold - _HYSTERESIS, self.threshold / 2)


DEFAULT_VAD: Final = VadOptions()


def split_at_silence(
    blocks: Iterable[Samples],
    detect: SpeechDetector,
    options: VadOptions = DEFAULT_VAD,
    window_seconds: int = WINDOW_SECONDS,
) -> Generator[Window]:
    """Yield the windows of the recording that arrives in `blocks` of any sizes, in order and without overlap.

    A window is at most `window_seconds` long, 1 or more.

    Each frame of speech is in exactly one window. A recording that fits one window stays whole, less the silence around
    it; before that is left out, the detector looks a second time, with each quiet part raised. A longer one is cut at
    the first long silence within a window's greatest length, else at the longest pause in the last third of that, else
    at the longest pause, else where speech is least probable shortly before the end. Where all the sound of a window is
    quiet, its level is raised, and so are parts of it that are much quieter than the rest.
    """
    for found in split_step_by_step(blocks, detect, options, window_seconds):
        yield from found


def split_step_by_step(
    blocks: Iterable[Samples], detect: SpeechDetector, options: VadOptions, window_seconds: int
) -> Generator[Sequence[Window]]:
    """Yield the windows that are complete after each of `blocks`, often none; otherwise as `split_at_silence`."""
    pending = _PendingAudio(detect, options, window_seconds * LISTEN_RATE)
    for block in blocks:
        pending.extend(block)
        yield tuple(pending.full_windows())
    pending.close()
    yield tuple(pending.full_windows())
    yield tuple(pending.rest())


class _PendingAudio:
    """The audio that is not yet in a window.

    It begins at speech, or at most `pad_before` seconds earlier. As long as the recording fits one window, all is kept.
    """

    def __init__(self, detect: SpeechDetector, options: VadOptions, max_samples: int) -> None:
        self._max_samples = max_samples
        self._detect = detect
        self._threshold, self._release = options.threshold, options.release_threshold
        self._pad_before = _frames(options.pad_before)
        self._pause = options.pause
        self._start = 0
        self._pcm = np.empty(0, np.float32)
        self._partial = np.empty(0, np.float32)
        self._probability = np.empty(0, np.float32)
        self._speech = np.empty(0, np.bool_)
        self._in_speech = False
        self._gain = SlowGain()
        self._was_silent = False
        self._fits_one_window = True

    def extend(self, block: Samples) -> None:
        """Add the whole frames of `block`, together with the samples that earlier blocks left over."""
        samples = np.concatenate([self._partial, block])
        whole = len(samples) // FRAME * FRAME
        self._partial = samples[whole:]
        self._append(samples[:whole], samples[:whole])

    def close(self) -> None:
        """Add the last frame, which may be short."""
        if self._partial.size:
            self._append(self._partial, np.pad(self._partial, (0, FRAME - self._partial.size)))

    def full_windows(self) -> Iterator[Window]:
        """Yield the windows that later audio cannot change."""
        if self._fits_one_window and len(self._pcm) > self._max_samples:
            self._fits_one_window = False
            self._drop_leading_silence()
        while len(self._pcm) > self._max_samples:
            yield self._take(split_point(self._probability, self._speech, self._pause, self._max_samples))

    def rest(self) -> Iterator[Window]:
        """Yield one window with the remaining audio, if there is speech in it."""
        if self._fits_one_window and self._pcm.size:
            self._look_again()
            self._drop_leading_silence()
        if self._speech.any():
            yield self._take(len(self._speech))

    def _append(self, samples: Samples, framed: Samples) -> None:
        if not samples.size:
            return
        frames = framed.reshape(-1, FRAME)
        silent = float(np.abs(samples).max()) < _SILENT
        # The first silent block is looked at, so that the detector's state is that of silence.
        if silent and self._was_silent:
            probability = np.zeros(len(frames), np.float32)
        else:
            probability = self._detect(self._gain.raised(frames, len(framed) / LISTEN_RATE))
        self._was_silent = silent
        self._pcm = np.concatenate([self._pcm, samples])
        self._probability = np.concatenate([self._probability, probability])
        self._speech = np.concatenate([self._speech, self._classified(probability)])
        if not self._fits_one_window:
            self._drop_leading_silence()

    def _classified(self, probability: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return whether each of the next frames is speech."""
        speech = np.empty(len(probability), np.bool_)
        for i, p in enumerate(probability.tolist()):
            self._in_speech = p >= (self._release if self._in_speech else self._threshold)
            speech[i] = self._in_speech
        return speech

    def _look_again(self) -> None:
        """Add the speech that the detector finds where each quiet part of the audio is raised."""
        frames = np.pad(self._pcm, (0, -len(self._pcm) % FRAME)).reshape(-1, FRAME)
        gains = local_gains(frames)
        if gains.max() <= 1:
            return
        self._in_speech = False
        probability = self._detect(frames * gains[:, np.newaxis])
        found = self._classified(probability)
        for start, end in _runs(found):
            if end - start < _SHORTEST_FOUND:
                found[start:end] = False
        self._speech |= found
        self._probability = np.maximum(self._probability, probability)

    def _take(self, frames: int) -> Window:
        """Remove the first `frames` and return them as a window without the silence at its end."""
        speech_end = int(np.flatnonzero(self._speech[:frames])[-1]) + 1
        end = min(frames, speech_end + _PAD)
        samples = _leveled(self._pcm[: end * FRAME], self._speech[:end])
        window = Window(self._start, samples, whole=self._fits_one_window)
        self._drop(frames)
        self._drop_leading_silence()
        return window

    def _drop_leading_silence(self) -> None:
        silent = int(self._speech.argmax()) if self._speech.any() else len(self._speech)
        self._drop(max(0, silent - self._pad_before))

    def _drop(self, frames: int) -> None:
        self._start += frames * FRAME
        self._pcm = self._pcm[frames * FRAME :]
        self._probability = self._probability[frames:]
        self._speech = self._speech[frames:]


def split_point(
    probability: NDArray[np.float32], speech: NDArray[np.bool_], pause: float, max_samples: int = MAX_SAMPLES
) -> int:
    """Return the frame at which a window ends where there is more audio than fits one.

    `probability` and `speech` [n], n at least a window's length: for each frame the probability of speech, and whether
    it counts as speech. `pause`: the shortest silence to cut at, in seconds. `max_samples`: a window's length.
    """
    most = max_samples // FRAME
    pauses = _pauses(speech[:most], max(1, _frames(pause)))
    for start, end in pauses:
        if end - start >= _LONG_SILENCE:
            return (start + end) // 2
    late = [gap for gap in pauses if sum(gap) // 2 >= most * 2 // 3]
    if pauses:
        start, end = max(late or pauses, key=lambda gap: (gap[1] - gap[0], gap[0]))
        return (start + end) // 2
    first = most - min(_LAST_RESORT, most // 3)
    smooth = np.convolve(probability[first - 2 : most + 2], np.full(5, 0.2), "valid")
    return first + int(smooth.argmin())


def _leveled(samples: Samples, speech: NDArray[np.bool_]) -> Samples:
    """Return a copy of `samples`, parts raised that are much quieter than others, and all of it if it is quiet.

    `speech`: for each frame whether it is speech. No sample gets above full scale.
    """
    frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    level = levels(frames)
    gains = part_gains(level, speech)
    if gains.max() > 1:
        middles = (np.arange(len(gains)) + 0.5) * FRAME
        raised = samples * np.interp(np.arange(len(samples)), middles, gains).astype(np.float32)
        samples = np.clip(raised, -1, 1)
        level = level * gains
    gain = gain_to_audible(float(level.max()))
    peak = float(np.abs(samples).max())
    return samples * np.float32(max(1.0, min(gain, 1 / peak)) if peak else 1.0)


def _pauses(speech: NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Return the gaps of at least `least` frames between frames of speech, [start, end)."""
    spoken = np.flatnonzero(np.append(speech, True))
    gaps = zip(spoken[:-1] + 1, spoken[1:], strict=True)
    return [(int(start), int(end)) for start, end in gaps if end - start >= least]


def _runs(speech: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of speech, [start, end)."""
    edges = np.flatnonzero(np.diff(speech, prepend=False, append=False))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
