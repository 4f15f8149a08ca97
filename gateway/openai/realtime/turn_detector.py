"""The turns in which somebody speaks, found in live audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.errors import BadRequest
from gateway.realtime.protocol import TurnDetection
from tritone.contract import LISTEN_RATE
from tritone.windowing import FRAME, MAX_SAMPLES, Samples, SpeechDetector, VadOptions, split_point

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

    def __init__(self, detect: SpeechDetector) -> None:
        self._detect = detect
        self._partial = np.empty(0, np.float32)
        self._frames: list[Samples] = []
        self._probability: list[float] = []
        """Of speech, in each of `_frames` that the detector heard."""
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
            self._probability.append(probability)
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
        self._drop(len(self._frames))
        self._partial = np.empty(0, np.float32)
        self.speaking = False
        self._silent = 0

    def _judge(self, probability: float, detection: TurnDetection) -> Iterator[Started | Stopped]:
        """What the latest frame, which is in the buffer, begins or ends."""
        threshold = detection.threshold
        if not self.speaking:
            if probability < threshold:
                lead = _frames(detection.prefix_padding_ms)
                self._drop(max(0, len(self._frames) - lead))
                return
            self.speaking = True
            self._silent = 0
            yield Started(self._start_ms)
        lasting = max(threshold - _HOLD, threshold / 2)
        self._silent = self._silent + 1 if probability < lasting else 0
        if self._silent >= _frames(detection.silence_duration_ms):
            yield self._stop(len(self._frames), lasting)
        elif (len(self._frames) + 1) * FRAME > MAX_SAMPLES:
            # A model can hear no more at once: the turn ends where that parts the fewest words, and the next goes on.
            speech = np.array(self._probability) >= lasting
            yield self._stop(split_point(np.array(self._probability, np.float32), speech, VadOptions().pause), lasting)
            if self.speaking:
                yield Started(self._start_ms)

    @property
    def _start_ms(self) -> int:
        """Of the buffer."""
        return (self._heard - len(self._frames) * FRAME) * 1000 // LISTEN_RATE

    def _stop(self, frames: int, lasting: float) -> Stopped:
        """End the turn after so many frames; where there is speech in the others, the next one is open."""
        samples = np.concatenate(self._frames[:frames])
        self._drop(frames)
        self.speaking = any(probability >= lasting for probability in self._probability)
        return Stopped(self._start_ms, samples)

    def _drop(self, frames: int) -> None:
        del self._frames[:frames], self._probability[:frames]


def _frames(milliseconds: int) -> int:
    return max(1, milliseconds * LISTEN_RATE // 1000 // FRAME)
