"""The mel filters of the GPU benchmark, which replace librosa's on a Python without it."""

from __future__ import annotations

import librosa.filters
import numpy as np

from benchmarks.gpu.bare import mel


def test_mel_filters_without_librosa_are_the_same() -> None:
    own = mel(sr=24_000, n_fft=1024, n_mels=128, fmin=0, fmax=12_000)
    theirs = librosa.filters.mel(sr=24_000, n_fft=1024, n_mels=128, fmin=0, fmax=12_000)
    assert own.shape == theirs.shape == (128, 513)
    np.testing.assert_allclose(own, theirs, atol=1e-8)
