"""How fast a server is: the seconds of a frame by the number of streams, and those of a start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

FRAME_SECONDS: Final = 0.08
"""Seconds of audio in a frame of Qwen3-TTS, which makes 12.5 a second."""


@dataclass(frozen=True)
class Speeds:
    """The speed of one server with an in-flight engine, where all streams advance by one frame together."""

    frame_seconds: dict[int, float]
    """Number of streams -> seconds for one frame of all of them; between two numbers it is interpolated."""
    prefill_seconds: float
    """Seconds in which the engine reads a new request, and no stream advances."""
    first_frames: int
    """Frames until the first audio is sent."""
    slots: int
    """Streams at once; more requests wait."""
    prefill_pieces: int = 1
    """Pieces in which a request is read, with a frame of the streams between two."""

    def frame(self, streams: int) -> float:
        """Return the seconds for one frame of each of so many streams."""
        known = sorted(self.frame_seconds)
        return float(np.interp(streams, known, [self.frame_seconds[each] for each in known]))

    @property
    def capacity(self) -> float:
        """Frames a second with every slot in use, prefills not counted."""
        return self.slots / self.frame(self.slots)


TARGETS: Final = Speeds(frame_seconds={1: 0.004, 64: 0.0085}, prefill_seconds=0.008, first_frames=2, slots=64)
"""The targets for 1.7B on an H100, not measured: 0.05 of real time for one stream, and 600 times real time
for 64 streams; 8 ms of prefill and two frames make the target of 20 ms for the first audio."""
