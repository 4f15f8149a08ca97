"""Clips as WAV files: 24 kHz, mono, 16 bits."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetuning.errors import FineTuningError
from tritone.contract import SPEECH_RATE

Samples = NDArray[np.float32]
"""Mono PCM, -1 to 1."""


def write_wav(path: Path, samples: Samples) -> None:
    """Write a clip in 16 bits at 24 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())


def read_wav(path: Path) -> Samples:
    """Return the samples of a clip that `write_wav` wrote; raises `FineTuningError`."""
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SPEECH_RATE, 1, 2):
                raise FineTuningError(f"{path} is not 24 kHz mono in 16 bits: run prepare again")
            content = file.readframes(file.getnframes())
    except FileNotFoundError:
        raise FineTuningError(f"{path} is missing: run prepare again, or delete its line in clips.csv") from None
    except (wave.Error, EOFError):
        raise FineTuningError(f"{path} cannot be read as WAV: run prepare again") from None
    return np.frombuffer(content, "<i2").astype(np.float32) / 32768
