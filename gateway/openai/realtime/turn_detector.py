"""Detect the turns of speech in live audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.errors import BadRequest
from gateway.openai.realtime.session_config import TurnDetection
from tritone.contract import LISTEN_RATE
from tritone.windowing import DEFAULT_VAD, FRAME, MAX_SAMPLES, Samples, SpeechDetector, VadOptions, split_point

BUFFER_SECONDS: Final = 300
"""The longest audio that is kept for a client without turn detection; beyond it the oldest goes."""

_LEAST_SAMPLES: Final = LISTEN_RATE // 10
"""The shortest turn that may be committed."""
_PAUSE_MS: Final = 200
"""The silence after which it is worth to look at what was said."""
_KEPT_MS: Final = 500
"""The silence that stays at the end of a turn that ended after a longer one."""


@dataclass(frozen=True)
class TurnStarted:
    """Speech has begun."""

    start_ms: int
    """From the session's start to the turn's first sample, with the padding before speech."""


@dataclass(frozen=True)
class TurnEnded:
    """A turn is over."""

    end_ms: int
    samples: Samples
    spoken: int | None = None
    """The samples up to the end of its last speech, where that was detected."""


@dataclass(frozen=True)
class TimedOut:
    """There has been no speech for `idle_timeout_ms`; the silent audio is an item too."""

    start_ms: int
    end_ms: int
    samples: Samples


Change = TurnStarted | TurnEnded | TimedOut


class TurnDetector:
    """The audio buffer of a session, in which turns are detected."""

    def __init__(self, detect: SpeechDetector, answer_due: Callable[[], bool] = lambda: False) -> None:
        """`answer_due`: whether it is the other side's turn; silence during it is not idle."""
        self._detect = detect
        self._answer_due = answer_due
        self._partial = np.empty(0, np.float32)
        self._frames: list[Samples] = []
        self._probability: list[float] = []
        """The probability of speech in each of `_frames`."""
        self._received = 0
        self._silent = 0
        """Frames of silence at the end of the open turn."""
        self._idle = 0
        """Frames since the last turn, answer or timeout."""
        self._wait_ms: int | None = None
        self.pauses = 0
        """Pauses so far: silences in a turn that are long enough for a look at its text."""
        self.in_turn = False
        """Whether a turn is open."""
        self.detection: TurnDetection | None = None
        """None: turns are not detected; `commit` ends them."""

    @property
    def samples(self) -> Samples:
        """The samples in the buffer."""
        return np.concatenate([np.empty(0, np.float32), *self._frames])

    @property
    def has_turn(self) -> bool:
        """Whether a commit would end a turn: one is open, or the buffer holds at least 100 ms that may be speech."""
        length = sum(map(len, self._frames)) + len(self._partial)
        return length >= _LEAST_SAMPLES and (self.in_turn or self.detection is None)

    @property
    def spoken(self) -> int:
        """The samples in the buffer up to the end of the last speech."""
        return max(0, len(self._frames) - self._silent) * FRAME

    @property
    def paused(self) -> bool:
        """Whether the speaker of the open turn is silent, for so long that the turn may be over."""
        return self.in_turn and self._silent >= _frames(_PAUSE_MS)

    def feed(self, samples: Samples) -> Iterator[Change]:
        """Add `samples`, and yield the turns that begin and end in them.

        Runs a network: call it in a thread.
        """
        joined = np.concatenate([self._partial, samples])
        whole = len(joined) // FRAME * FRAME
        self._partial = joined[whole:]
        if not whole:
            return
        frames = joined[:whole].reshape(-1, FRAME)
        if self.detection is None:
            self._frames.append(joined[:whole])
            self._received += whole
            self._limit()
            return
        for frame, probability in zip(frames, self._detect(frames).tolist(), strict=True):
            self._frames.append(frame)
            self._probability.append(probability)
            self._received += FRAME
            yield from self._classify(probability, self.detection)

    def wait(self, milliseconds: int, heard: int) -> TurnEnded | None:
        """Let so much silence end the open turn, whose first `heard` samples are known; return it if it is over.

        If there was speech behind these samples, or is from now on, the longest silence applies again.
        """
        if not self.in_turn or self.detection is None or heard < self.spoken:
            return None
        self._wait_ms = milliseconds
        return self._end_of_silence(self.detection)

    def commit(self) -> TurnEnded:
        """End the turn here. Raises `BadRequest` if the buffer holds less than 100 ms."""
        samples = np.concatenate([self.samples, self._partial])
        if len(samples) < _LEAST_SAMPLES:
            raise BadRequest(
                f"input_audio_buffer: it holds {len(samples) * 1000 // LISTEN_RATE} ms; a turn needs 100",
                code="input_audio_buffer_commit_empty",
            )
        self._received += len(self._partial)
        self.clear()
        return TurnEnded(self._received * 1000 // LISTEN_RATE, samples)

    def clear(self) -> None:
        """Discard the buffer."""
        self._drop(len(self._frames))
        self._partial = np.empty(0, np.float32)
        self.in_turn = False
        self._silent = self._idle = 0

    def _classify(self, probability: float, detection: TurnDetection) -> Iterator[Change]:
        """Yield the turns that begin or end with the latest frame, which is in the buffer."""
        options = VadOptions(detection.threshold)
        padding = _frames(detection.prefix_padding_ms)
        if not self.in_turn:
            if probability < options.threshold:
                yield from self._stay_idle(detection.idle_timeout_ms, padding)
                return
            self._drop(max(0, len(self._frames) - 1 - padding))
            self.in_turn = True
            self._silent = 0
            self._wait_ms = None
            yield TurnStarted(self._start_ms)
        release = options.release_threshold
        if probability >= release:
            self._silent, self._wait_ms = 0, None
        else:
            self._silent += 1
            self.pauses += self._silent == _frames(_PAUSE_MS)
        if ended := self._end_of_silence(detection):
            yield ended
        elif (len(self._frames) + 1) * FRAME > MAX_SAMPLES:
            # A window of a model is full: the turn ends at the best place to cut, and the next continues it.
            speech = np.array(self._probability) >= release
            cut = split_point(np.array(self._probability, np.float32), speech, DEFAULT_VAD.pause)
            yield self._end(cut, release)
            if self.in_turn:
                yield TurnStarted(self._start_ms)

    def _stay_idle(self, timeout_ms: int | None, padding: int) -> Iterator[TimedOut]:
        """Keep the silence that a turn may need before its speech, and all of it where it may become an item."""
        self._idle = 0 if timeout_ms and self._answer_due() else self._idle + 1
        if timeout_ms and self._idle >= _frames(timeout_ms):
            start_ms, samples = self._start_ms, self.samples
            self._drop(len(self._frames))
            self._idle = 0
            yield TimedOut(start_ms, self._start_ms, samples)
            return
        self._drop(max(0, len(self._frames) - (max(padding, self._idle) if timeout_ms else padding)))

    def _end_of_silence(self, detection: TurnDetection) -> TurnEnded | None:
        """Return the open turn if its silence is long enough."""
        longest = detection.longest_silence_ms if self._wait_ms is None else self._wait_ms
        if self._silent < _frames(longest):
            return None
        dropped = max(0, self._silent - _frames(_KEPT_MS)) if detection.type == "semantic_vad" else 0
        return self._end(len(self._frames) - dropped, VadOptions(detection.threshold).release_threshold)

    @property
    def _start_ms(self) -> int:
        """The buffer's first sample, in ms from the session's start."""
        return (self._received - len(self._frames) * FRAME) * 1000 // LISTEN_RATE

    def _end(self, frames: int, release: float) -> TurnEnded:
        """End the turn after so many frames; if there is speech in the others, the next turn is open."""
        samples = np.concatenate(self._frames[:frames])
        spoken = 1 + max((i for i in range(frames) if self._probability[i] >= release), default=-1)
        self._drop(frames)
        self._idle, self._wait_ms = 0, None
        self.in_turn = any(probability >= release for probability in self._probability)
        return TurnEnded(self._start_ms, samples, spoken * FRAME)

    def _limit(self) -> None:
        """Discard the oldest audio beyond `BUFFER_SECONDS`."""
        excess = sum(map(len, self._frames)) - BUFFER_SECONDS * LISTEN_RATE
        while excess > 0:
            oldest = self._frames[0]
            if len(oldest) <= excess:
                del self._frames[0]
            else:
                self._frames[0] = oldest[excess:]
            excess -= len(oldest)

    def _drop(self, frames: int) -> None:
        del self._frames[:frames], self._probability[:frames]


def _frames(milliseconds: int) -> int:
    return max(1, milliseconds * LISTEN_RATE // 1000 // FRAME)
