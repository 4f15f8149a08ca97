"""How fast a server is: the seconds of a frame by the number of streams, of reading a prompt, and of decoding audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

FRAME_SECONDS: Final = 0.08
"""Seconds of audio in a frame of Qwen3-TTS, which makes 12.5 a second."""


@dataclass(frozen=True)
class Speeds:
    """The speed of one server with an in-flight engine, where all streams advance by one frame together."""

    frame_seconds: Mapping[int, float]
    """Number of streams -> seconds for one frame of all of them; between two numbers it is interpolated."""
    prefill_seconds: float
    """Seconds in which the engine reads a new request at once, and no stream advances."""
    first_frames: int
    """Frames until the first audio is sent."""
    slots: int
    """Streams at once; more requests wait."""
    piece_seconds: float = 0.0
    """The part of `prefill_seconds` that each piece takes, however short it is."""
    prompt_tokens: int = 64
    """Tokens of a request's prompt."""
    prefill_tokens: int = 256
    """Tokens that are read between two frames of the streams, of all requests together."""
    chunk_seconds: Mapping[int, float] = field(default_factory=dict)
    """Frames of a stream's first chunks of audio -> seconds to decode one, in which no stream advances.

    All further chunks are as the largest. Empty: decoding delays nothing, as on a GPU, where it runs beside the frames.
    """

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Speeds:
        """Return speeds from their JSON, whose numbers of streams and frames are strings."""
        counted = {
            name: {int(count): float(seconds) for count, seconds in values[name].items()}
            for name in ("frame_seconds", "chunk_seconds")
            if name in values
        }
        return cls(**{**values, **counted})

    def frame(self, streams: int) -> float:
        """Return the seconds for one frame of each of so many streams."""
        known = sorted(self.frame_seconds)
        return float(np.interp(streams, known, [self.frame_seconds[each] for each in known]))

    def prefill(self, tokens: int) -> float:
        """Return the seconds to read so many tokens of prompts at once."""
        return self.piece_seconds + (self.prefill_seconds - self.piece_seconds) * tokens / self.prompt_tokens

    def chunk_frames(self, index: int) -> float:
        """Return the frames of a stream's chunk number `index`; infinite if it is all that is left."""
        if not index:
            return self.first_frames
        sizes = sorted(self.chunk_seconds)
        return sizes[min(index, len(sizes) - 1)] if sizes else np.inf

    def decode(self, frames: int) -> float:
        """Return the seconds to decode so many frames of one stream, padded to the frames of a chunk."""
        sizes = sorted(self.chunk_seconds)
        return self.chunk_seconds[next((size for size in sizes if size >= frames), sizes[-1])] if sizes else 0.0

    @property
    def capacity(self) -> float:
        """Frames a second with every slot in use; prefills and audio are not counted."""
        return self.slots / self.frame(self.slots)


TARGETS: Final = Speeds(frame_seconds={1: 0.004, 64: 0.0085}, prefill_seconds=0.008, first_frames=2, slots=64)
"""The targets for 1.7B on an H100, not measured: 0.05 of real time for one stream, and 600 times real time
for 64 streams; 8 ms of prefill and two frames make the target of 20 ms for the first audio."""
