"""Decode and check the reference audio of a cloned voice."""

from __future__ import annotations

import io
from typing import Final

import av
import numpy as np

from gateway.audio.decoding import AudioFile
from gateway.audio.frames import Pcm
from gateway.core.errors import PayloadTooLarge
from tritone.contract import REFERENCE_SECONDS, SPEECH_RATE
from tritone.errors import InvalidInput

_SILENT: Final = 1e-3
"""The RMS, -60 dB, below which there is only noise."""
_FULL_SCALE: Final = 0.99
_CLIPPED_SHARE: Final = 0.02
"""The share of clipped samples in speech overdriven by 6 to 9 dB; at the right level it is under a ten-thousandth."""
_WANTED: Final = "give {} to {} s of clear speech".format(*REFERENCE_SECONDS)


def decode_ref_audio(file: bytes, field: str = "ref_audio", longest: float = REFERENCE_SECONDS[1]) -> Pcm:
    """Return the samples [n] of a recording in any container: mono at `SPEECH_RATE`, -1 to 1, `REFERENCE_SECONDS` long.

    A recording whose silence will be cut off may be up to `longest` seconds long. Raises `InvalidInput` for `field` if
    it is not audio, or has no voice that could be cloned. It takes up to a tenth of a second: call it in a thread.
    """
    levels = _Levels()
    audio_file = AudioFile(io.BytesIO(file), SPEECH_RATE, longest, field, on_frame=levels.add)
    try:
        audio = np.concatenate(list(audio_file.blocks()))
    except PayloadTooLarge:
        raise InvalidInput(field, f"it is longer than {longest:g} s; {_WANTED}") from None
    if audio_file.seconds < REFERENCE_SECONDS[0]:
        raise InvalidInput(field, f"it is {audio_file.seconds:.2f} s long; {_WANTED}")
    if not levels.finite:
        raise InvalidInput(field, "it holds NaN or infinite samples")
    if np.sqrt(np.mean(np.square(audio, dtype=np.float64))) < _SILENT:
        raise InvalidInput(field, f"it is silent; {_WANTED}")
    if levels.clipped > _CLIPPED_SHARE:
        raise InvalidInput(field, f"{levels.clipped:.0%} of it is clipped; record it at a lower level")
    # Floating-point samples and the sum of channels may exceed full scale.
    audio /= max(1.0, np.abs(audio).max())
    return audio


def ref_audio_error(problem: str) -> InvalidInput:
    """Return the error for a `ref_audio` that cannot be used."""
    return InvalidInput("ref_audio", problem)


class _Levels:
    """Looks at the samples as they are decoded; mixing and resampling would hide what is wrong with them."""

    def __init__(self) -> None:
        self.finite = True
        """Whether all samples are finite numbers."""
        self._full = self._all = 0
        self._form: tuple[str, str, int] | None = None

    @property
    def clipped(self) -> float:
        """The share of samples at full scale, 0 to 1."""
        return self._full / self._all

    def add(self, frame: av.AudioFrame) -> None:
        """Count the samples of a frame of any sample type."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            # Packed: PyAV reads only seven channels of a planar frame.
            self._packed = av.AudioResampler("flt", frame.layout, frame.sample_rate)
            self._form = form
        for packed in self._packed.resample(frame):
            samples = packed.to_ndarray()
            self.finite &= bool(np.isfinite(samples).all())
            self._full += np.count_nonzero(np.abs(samples) >= _FULL_SCALE)
            self._all += samples.size
