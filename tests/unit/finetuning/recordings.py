"""Recordings for tests: tones that swell like syllables, at any rate."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def speech(seconds: float, rate: int = 24_000, *, hertz: float = 180.0, level: float = 0.3) -> NDArray[np.float32]:
    """Return a tone with four syllables a second."""
    time = np.arange(round(seconds * rate)) / rate
    wave_ = level * np.sin(2 * np.pi * hertz * time) * np.sin(np.pi * 4 * time) ** 2
    return wave_.astype(np.float32)


def silence(seconds: float, rate: int = 24_000) -> NDArray[np.float32]:
    return np.zeros(round(seconds * rate), np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int = 24_000, channels: int = 1) -> Path:
    """Write a WAV file of 16 bits with the same samples in every channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat((samples * 32767).astype("<i2"), channels).tobytes())
    return path
