"""A transcription family that measures: "3 seconds low" is the transcript of three seconds of a deep tone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapters.triton.instance import Instance
from adapters.triton.transcriber import WindowRequest
from adapters.triton.transcription_model import TranscriptionModel
from tritone.contract import LISTEN_RATE, TranscriptionDescription, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.families import Family
from tritone.languages import candidates_of, is_auto
from tritone.transcript import Segment, Transcript

FAMILY: Final = Family.load(Path(__file__).parent)
LANGUAGE: Final = "en"
HIGH_HERTZ: Final = 330
"""The pitch between low and high."""
_SILENCE: Final = 0.01


class CounterTranscriber:
    """One segment for each window that is not silent."""

    parallel_calls = 1

    def __init__(self, options: Sequence[str]) -> None:
        self.description = TranscriptionDescription((LANGUAGE,), ("transcribe",), tuple(options))

    def check(self, options: TranscriptionOptions) -> None:
        """Raise `InvalidInput` for any language but English."""
        if not is_auto(options.language) and candidates_of(options.language) != (LANGUAGE,):
            raise InvalidInput("language", f"{options.language!r} is not supported; send {LANGUAGE}, or auto")

    def transcribe(self, windows: Sequence[WindowRequest]) -> list[Transcript]:
        """Return the transcript of each window."""
        return [self._transcribe(window.audio, window.seconds) for window in windows]

    def _transcribe(self, audio: NDArray[np.float32], seconds: float) -> Transcript:
        if np.abs(audio).max() < _SILENCE:
            return Transcript(LANGUAGE, 1.0, ())
        pitch = "high" if _hertz(audio) > HIGH_HERTZ else "low"
        segment = Segment(start=0.0, end=seconds, text=f" {round(seconds)} seconds {pitch}", tokens=())
        return Transcript(LANGUAGE, 1.0, (segment,))


class TritonPythonModel(TranscriptionModel):
    """The counter model."""

    def load(self, instance: Instance) -> CounterTranscriber:
        """Build the transcriber."""
        return CounterTranscriber(instance.entry_in(FAMILY).options)


def _hertz(audio: NDArray[np.float32]) -> float:
    """Return the pitch of a tone: the zero crossings, halved, in each second that is not silent."""
    crossings = np.flatnonzero(np.diff(np.signbit(audio)))
    span = crossings[-1] - crossings[0] if len(crossings) > 1 else 0
    return (len(crossings) - 1) / 2 / (span / LISTEN_RATE) if span else 0.0
