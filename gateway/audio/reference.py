"""The recording of a voice that is to be cloned: decoded, checked, and as the models want it."""

from __future__ import annotations

import io
from typing import Final

import av
import numpy as np

from gateway.audio.decoding import Pcm, Recording
from gateway.errors import BadRequest, PayloadTooLarge
from tritone.contract import REFERENCE_SECONDS, SPEECH_RATE

_SILENT: Final = 1e-3
"""An RMS below it, -60 dB, is noise and no voice."""
_FULL_SCALE: Final = 0.99
_CLIPPED_SHARE: Final = 0.02
"""What speech comes to that is overdriven by 6 to 9 dB; at the right level it is under a ten-thousandth."""
_WANTED: Final = "give {} to {} s of clear speech".format(*REFERENCE_SECONDS)


def read_reference(file: bytes) -> Pcm:
    """The samples [n] of a recording in any container: mono at `SPEECH_RATE`, -1 to 1, within `REFERENCE_SECONDS`.

    Raises `BadRequest` for what is not audio, or holds no voice that could be taken from it. Costs up to a tenth of a
    second: it belongs in a thread.
    """
    levels = _Levels()
    recording = Recording(io.BytesIO(file), SPEECH_RATE, REFERENCE_SECONDS[1], "ref_audio", look=levels.add)
    try:
        audio = np.concatenate(list(recording.blocks()))
    except PayloadTooLarge:
        raise bad_reference(f"it is longer than {REFERENCE_SECONDS[1]} s; {_WANTED}") from None
    if recording.seconds < REFERENCE_SECONDS[0]:
        raise bad_reference(f"it is {recording.seconds:.2f} s long; {_WANTED}")
    if not np.isfinite(audio).all():
        raise bad_reference("it holds NaN or infinite samples")
    if np.sqrt(np.mean(np.square(audio, dtype=np.float64))) < _SILENT:
        raise bad_reference(f"it is silent; {_WANTED}")
    if levels.clipped > _CLIPPED_SHARE:
        raise bad_reference(f"{levels.clipped:.0%} of it is clipped; record it at a lower level")
    # Channels that agree add up beyond 1 where they become one.
    audio /= max(1.0, np.abs(audio).max())
    return audio


def bad_reference(problem: str) -> BadRequest:
    """The answer to a `ref_audio` that cannot be used."""
    return BadRequest(f"ref_audio: {problem}", param="ref_audio")


class _Levels:
    """How much of a recording is at full scale, as the decoder gives it: later steps hide it."""

    def __init__(self) -> None:
        self._full = self._all = 0

    @property
    def clipped(self) -> float:
        """The share of the samples, 0 to 1."""
        return self._full / self._all

    def add(self, frame: av.AudioFrame) -> None:
        """Count a frame's samples, in whatever type they are."""
        samples = frame.to_ndarray()
        if samples.dtype.kind in "iu":
            limits = np.iinfo(samples.dtype.str)
            samples = (samples - (limits.max + limits.min + 1) / 2) / (limits.max - limits.min) * 2
        self._full += np.count_nonzero(np.abs(samples) >= _FULL_SCALE)
        self._all += samples.size
