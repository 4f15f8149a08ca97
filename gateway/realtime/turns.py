"""The turns in which somebody speaks, found in live audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.errors import BadRequest
from gateway.realtime.protocol import TurnDetection
from tritone.contract import LISTEN_RATE
from tritone.windows import FRAME, MAX_SAMPLES, Detect, Samples

BUFFER_SECONDS: Final = 300
"""What a client that commits by itself may leave uncommitted."""

_HOLD: Final = 0.15
"""Speech that has set in lasts until its probability is so far below the threshold."""
_LEAST_SAMPLES: Final = LISTEN_RATE // 10
"""The shortest turn that may be committed."""


@dataclass(frozen=True)
class Started:
    """Somebody has begun to speak."""

    start_ms: int
    """From the session's start to the turn's first sound, the padding before speech included."""


@dataclass(frozen=True)
class Stopped:
    """A turn is over."""

    end_ms: int
    samples: Samples


class Turns:
    """A session's audio buffer: what was heard since the last turn, and who detects where that ends."""

    def __init__(self, detect: Detect) -> None:
        self._detect = detect
        self._partial = np.empty(0, np.float32)
        self._frames: list[Samples] = []
        self._heard = 0
        self._silent = 0
        self.speaking = False
        """Whether a turn is open."""
        self.detection: TurnDetection | None = None
        """None: nobody looks for turns; `commit` ends them."""

    @property
    def samples(self) -> Samples:
        """The buffer."""
        return np.concatenate([np.empty(0, np.float32), *self._frames])

    def hear(self, samples: Samples) -> Iterator[Started | Stopped]:
        """Take in `samples`, and say what they begin and end.

        Raises `BadRequest` where the buffer is full, which then stays as it is. Runs the detector: it belongs in a
        thread.
        """
        held = sum(map(len, self._frames)) + len(self._partial)
        if self.detection is None and held + len(samples) > BUFFER_SECONDS * LISTEN_RATE:
            raise BadRequest(f"audio: the buffer holds {BUFFER_SECONDS} s; commit or clear it", param="audio")
        joined = np.concatenate([self._partial, samples])
        whole = len(joined) // FRAME * FRAME
        self._partial = joined[whole:]
        if not whole:
            return
        frames = joined[:whole].reshape(-1, FRAME)
        if self.detection is None:
            self._frames.append(joined[:whole])
            self._heard += whole
            return
        for frame, probability in zip(frames, self._detect(frames).tolist(), strict=True):
            self._frames.append(frame)
            self._heard += FRAME
            yield from self._judge(probability, self.detection)

    def commit(self) -> Stopped:
        """End the turn here. Raises `BadRequest` where there is next to nothing in the buffer."""
        samples = np.concatenate([self.samples, self._partial])
        if len(samples) < _LEAST_SAMPLES:
            raise BadRequest(
                f"input_audio_buffer: it holds {len(samples) * 1000 // LISTEN_RATE} ms; a turn needs 100",
                code="input_audio_buffer_commit_empty",
            )
        self._heard += len(self._partial)
        self.clear()
        return Stopped(self._heard * 1000 // LISTEN_RATE, samples)

    def clear(self) -> None:
        """Forget what is in the buffer."""
        self._frames.clear()
        self._partial = np.empty(0, np.float32)
        self.speaking = False
        self._silent = 0

    def _judge(self, probability: float, detection: TurnDetection) -> Iterator[Started | Stopped]:
        """What the latest frame, which is in the buffer, begins or ends."""
        threshold = detection.threshold
        if not self.speaking:
            if probability < threshold:
                lead = _frames(detection.prefix_padding_ms)
                del self._frames[: max(0, len(self._frames) - lead)]
                return
            self.speaking = True
            self._silent = 0
            yield Started((self._heard - sum(map(len, self._frames))) * 1000 // LISTEN_RATE)
        lasting = max(threshold - _HOLD, threshold / 2)
        self._silent = self._silent + 1 if probability < lasting else 0
        # A turn without a pause ends where a model can hear no more at once.
        full = sum(map(len, self._frames)) + FRAME > MAX_SAMPLES
        if self._silent >= _frames(detection.silence_duration_ms) or full:
            samples = self.samples
            self._frames.clear()
            self.speaking = False
            yield Stopped(self._heard * 1000 // LISTEN_RATE, samples)


def _frames(milliseconds: int) -> int:
    return max(1, milliseconds * LISTEN_RATE // 1000 // FRAME)
