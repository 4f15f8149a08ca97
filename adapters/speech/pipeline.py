"""The pipeline of a speech family: requests to pieces of text, and a piece to samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from adapters.speech.text_splitter import Break
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription
from tritone.transcript import Word


@dataclass(frozen=True, kw_only=True)
class SpeechPiece:
    """A part of a request's text that one call of the model synthesizes. A family adds its own fields."""

    text_tokens: int
    """Its length in the model's own tokens."""
    end: Break
    """The end of its text, which sets the pause after it."""
    speed: float = 1.0


@dataclass(frozen=True)
class SpokenPiece:
    """The speech of a piece."""

    samples: NDArray[np.float32]
    """At `SPEECH_RATE`, -1 to 1."""
    words: tuple[Word, ...] = ()
    """The written words that it speaks, with their times from its first sample; for requests with `word_timestamps`."""


P = TypeVar("P", bound=SpeechPiece)


class SpeechPipeline(ABC, Generic[P]):
    """Base of a family's pipeline. `pieces` and `speak` may run in different threads at once.

    So may `speak` itself, if the engine computes more than one piece at once.
    """

    description: SpeechDescription
    frame_samples: ClassVar[int] = 1
    """Samples in a frame of the model, the unit of `audio_frames`."""

    @abstractmethod
    def pieces(self, request: SpeechRequest) -> Sequence[P]:
        """Return the pieces of a request in order; raises `InvalidInput` for a text without any."""

    @abstractmethod
    def synthesize(self, piece: P) -> NDArray[np.float32]:
        """Return the samples of a piece at `SPEECH_RATE`, -1 to 1; silence at both ends is trimmed by the engine."""

    def speak(self, piece: P) -> SpokenPiece:
        """Return the speech of a piece; a family that knows the times of words adds them."""
        return SpokenPiece(self.synthesize(piece))

    def speak_all(self, pieces: Sequence[P]) -> Sequence[SpokenPiece]:
        """Return the speech of each piece; a family that computes batches does so here.

        Raises `GpuLost` if only a new process can use the GPU.
        """
        return [self.speak(piece) for piece in pieces]
