"""The level of quiet audio, raised for networks that miss quiet speech."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]
"""Samples in frames of equal length, [n, samples]."""
Levels = NDArray[np.float32]
"""One number for each frame, [n]."""

AUDIBLE: Final = 0.05
"""The RMS, -26 dB, to which quieter audio is raised. From -45 dB on the speech detector misses words, and below -60 dB
sentences; raised to this level it finds as much in speech of -70 dB as in loud speech, and no more in noise."""
_MOST: Final = 300.0
"""The largest gain, 50 dB; below that, recordings of 16 bits hold their own rounding errors only."""
_AROUND: Final = 15
"""Frames before and after one whose level counts for its gain: half a second each, so that a pause stays a pause."""
_DEEPEST: Final = 0.1
"""A part whose speech is more than 20 dB below the loudest speech of its window is raised to that.

In the second half of a window, 30 dB below the first, whisper-base makes three times as many errors, and 40 dB below it
misses most words. The parts of an ordinary recording are within 20 dB, and stay as they are."""
_RELEASE: Final = 10 ** (-1 / 20)
"""The loudest level so far falls by 1 dB a second."""


def levels(frames: Frames) -> Levels:
    """Return the RMS of each frame."""
    rms: Levels = np.sqrt(np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1]))
    return rms


def gain_to_audible(level: float) -> float:
    """Return the gain, 1 or more, by which audio of this level becomes `AUDIBLE`."""
    return min(max(AUDIBLE / level, 1.0), _MOST) if level > 0 else 1.0


def local_gains(frames: Frames) -> Levels:
    """Return for each frame the gain that raises the loudest audio close to it to `AUDIBLE`; it changes smoothly."""
    width = 2 * _AROUND + 1
    loudest = np.lib.stride_tricks.sliding_window_view(np.pad(levels(frames), _AROUND), width).max(axis=1)
    gains = np.array([gain_to_audible(level) for level in loudest.tolist()])
    smooth: Levels = np.convolve(np.pad(gains, _AROUND, "edge"), np.full(width, 1 / width), "valid").astype(np.float32)
    return smooth


def part_gains(level: Levels, speech: NDArray[np.bool_]) -> Levels:
    """Return for each frame the gain that brings the parts of a window closer together; it changes smoothly.

    `level`, `speech` [n]: the RMS of each frame, and whether it is speech. A frame without speech gets the gain of the
    speech around it, so that its noise stays as far below.
    """
    width = 2 * _AROUND + 1
    spoken = np.where(speech, level, 0)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(spoken, _AROUND), width).max(axis=1)
    known = np.flatnonzero(around)
    if not known.size:
        return np.ones_like(level)
    wanted = _DEEPEST * around.max() / np.interp(np.arange(len(around)), known, around[known])
    gains = np.clip(wanted, 1.0, _MOST)
    smooth: Levels = np.convolve(np.pad(gains, _AROUND, "edge"), np.full(width, 1 / width), "valid").astype(np.float32)
    return smooth


class SlowGain:
    """The gain for a recording that streams through: it falls at once where the audio is loud, and rises slowly."""

    def __init__(self) -> None:
        self._loudest = 0.0

    def raised(self, frames: Frames, seconds: float) -> Frames:
        """Return the next `frames`, which last `seconds`, raised to `AUDIBLE` if they and those before are quiet."""
        self._loudest = max(self._loudest * _RELEASE**seconds, float(levels(frames).max(initial=0.0)))
        gain = gain_to_audible(self._loudest)
        return frames * np.float32(gain) if gain > 1 else frames
