"""The speech in a turn that is not over, for the text that is sent meanwhile."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from gateway.openai.realtime.session_config import TurnDetection
from gateway.openai.realtime.turn_detector import TurnDetector, TurnEnded
from tritone.windowing import Samples, SpeechDetector

_MOST_ENDED: Final = 20
"""Pieces that may wait for their text; beyond it the oldest get none before the turn's end."""


class DetectedTurn:
    """The open turn of a detector."""

    def __init__(self, detector: TurnDetector) -> None:
        self._detector = detector

    @property
    def samples(self) -> Samples:
        """The turn so far."""
        return self._detector.samples

    def take_ended(self) -> list[Samples]:
        """Return nothing: such a turn is one piece."""
        return []


class CommittedTurn:
    """A turn that the client will commit, divided into pieces of speech; silence has no text."""

    def __init__(self, detect: SpeechDetector) -> None:
        self._detector = TurnDetector(detect)
        self._detector.detection = TurnDetection()
        self._ended: deque[Samples] = deque(maxlen=_MOST_ENDED)
        self.has_speech = False
        """Whether there has been speech in the turn."""

    def feed(self, samples: Samples) -> None:
        """Add samples. Runs a network: call it in a thread."""
        for change in self._detector.feed(samples):
            self.has_speech = True
            if isinstance(change, TurnEnded):
                self._ended.append(change.samples)

    @property
    def samples(self) -> Samples:
        """The piece of speech that has not ended."""
        return self._detector.samples if self._detector.in_turn else np.empty(0, np.float32)

    def take_ended(self) -> list[Samples]:
        """Return the pieces that have ended since the last call."""
        return [self._ended.popleft() for _ in range(len(self._ended))]
