"""The mel spectrogram that F5-TTS is conditioned on, and that Vocos reads."""

from __future__ import annotations

from functools import cache
from typing import Final

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tritone.contract import SPEECH_RATE

MELS: Final = 100
HOP: Final = 256
"""Samples of a frame."""
WINDOW: Final = 1024
FRAMES_PER_SECOND: Final = SPEECH_RATE / HOP
_FLOOR = 1e-5


def mel_spectrogram(samples: NDArray[np.float32]) -> Tensor:
    """Return the log mel spectrogram (n // HOP + 1, MELS), float32, of mono samples (n,) at `SPEECH_RATE`.

    Magnitudes in filters of HTK's scale without normalization, as `torchaudio` computes them for Vocos.
    """
    wave = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    spectrum = torch.stft(
        wave, WINDOW, HOP, WINDOW, torch.hann_window(WINDOW), center=True, pad_mode="reflect", return_complex=True
    )
    return torch.log(torch.clamp(_filters() @ spectrum.abs(), min=_FLOOR)).T.contiguous()


@cache
def _filters() -> Tensor:
    """Return the filters, (MELS, WINDOW // 2 + 1)."""
    filters = librosa.filters.mel(
        sr=SPEECH_RATE, n_fft=WINDOW, n_mels=MELS, fmin=0, fmax=SPEECH_RATE / 2, htk=True, norm=None
    )
    return torch.from_numpy(filters).float()
