"""The voices of requests: a recording as the network's condition. Those that were used last are cached."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from torch import Tensor

from adapters.f5_tts.package import DATA
from adapters.f5_tts.spectrogram import HOP, mel_spectrogram
from tritone.contract import SPEECH_RATE, Voice
from tritone.errors import InvalidInput

LONGEST: Final = 12
"""Seconds of a reference, as in the package: the network was trained on half a minute, and needs the rest."""
_LOUDNESS: Final = 0.1
"""The RMS that quieter references are raised to; the speech is lowered by as much."""
_MOST_CACHED: Final = 256

DEFAULT_VOICES: Final = (Voice("basic_en", "Basic, English", "en"), Voice("basic_zh", "Basic, Chinese", "zh"))
"""The reference recordings of the package."""
_WORDS: Final = {
    "basic_en": "Some call me nature, others call me mother nature.",
    "basic_zh": "对，这就是我，万人敬仰的太乙真人。",
}


@dataclass(frozen=True, eq=False)
class Reference:
    """A recording of a voice, as the network is conditioned on it."""

    mel: Tensor
    """(frames + 1, MELS) float32, on the CPU."""
    text: str
    """The words of the recording."""
    gain: float
    """The factor of the speech in this voice, 1 or less."""

    @property
    def frames(self) -> int:
        """Whole frames of the recording."""
        return len(self.mel) - 1


class ReferenceCache:
    """Makes references from recordings. Thread-safe."""

    def __init__(self) -> None:
        self._made: OrderedDict[bytes, tuple[Tensor, float]] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    def of(self, samples: NDArray[np.float32], text: str) -> Reference:
        """Return the reference of mono samples (n,) at `SPEECH_RATE`; raises `InvalidInput` if it is too long."""
        seconds = len(samples) / SPEECH_RATE
        if seconds > LONGEST:
            raise InvalidInput("ref_audio", f"is {seconds:.1f} s long; this model takes at most {LONGEST} s")
        key = hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=32).digest()
        with self._lock:
            made = self._made.get(key)
        if made is None:
            loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
            gain = min(1.0, loudness / _LOUDNESS)
            made = mel_spectrogram(samples / np.float32(gain)), gain
        with self._lock:
            self._made[key] = made
            self._made.move_to_end(key)
            while len(self._made) > _MOST_CACHED:
                self._made.popitem(last=False)
        return Reference(made[0], text, made[1])

    def default(self, voice: str) -> Reference:
        """Return the reference of one of `DEFAULT_VOICES`."""
        return self.of(_recording(voice), _WORDS[voice])


@cache
def _recording(voice: str) -> NDArray[np.float32]:
    path = DATA / "infer" / "examples" / "basic" / f"basic_ref_{voice.removeprefix('basic_')}.wav"
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SPEECH_RATE:
        raise RuntimeError(f"{path} has {rate} Hz instead of {SPEECH_RATE}")
    mono: NDArray[np.float32] = samples.mean(1)
    return mono[: len(mono) // HOP * HOP]
