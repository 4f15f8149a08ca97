"""The voices of requests: a recording as the network's condition, cached as long as the recording is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import soundfile
from numpy.typing import NDArray
from torch import Tensor

from adapters.f5_tts.package import DATA
from adapters.f5_tts.spectrogram import HOP, mel_spectrogram
from adapters.triton.references import Reference
from tritone.contract import SPEECH_RATE, Voice
from tritone.errors import InvalidInput

LONGEST: Final = 12
"""Seconds of a reference, as in the package: the network was trained on half a minute, and needs the rest."""
_LOUDNESS: Final = 0.1
"""The RMS that quieter references are raised to; the speech is lowered by as much."""
DEFAULT_VOICES: Final = (Voice("basic_en", "Basic, English", "en"), Voice("basic_zh", "Basic, Chinese", "zh"))
"""The reference recordings of the package."""
_WORDS: Final = {
    "basic_en": "Some call me nature, others call me mother nature.",
    "basic_zh": "对，这就是我，万人敬仰的太乙真人。",
}


@dataclass(frozen=True, eq=False)
class VoiceCondition:
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


class VoiceCache:
    """The conditions of the voices in use. One ends with its reference. For one thread."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Reference, VoiceCondition] = WeakKeyDictionary()

    def get(self, reference: Reference) -> VoiceCondition:
        """Return the condition of a recording; raises `InvalidInput` if it is too long, or its words are missing."""
        if reference not in self._made:
            self._made[reference] = _condition(reference)
        return self._made[reference]


@cache
def default_voice(name: str) -> VoiceCondition:
    """Return the condition of one of `DEFAULT_VOICES`."""
    return _condition(Reference.of(_recording(name), _WORDS[name]))


def _condition(reference: Reference) -> VoiceCondition:
    samples = reference.samples
    seconds = len(samples) / SPEECH_RATE
    if seconds > LONGEST:
        raise InvalidInput("ref_audio", f"is {seconds:.1f} s long; this model takes at most {LONGEST} s")
    if not reference.text.strip():
        raise InvalidInput("ref_text", "is missing; this model needs the words of ref_audio")
    loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    gain = min(1.0, loudness / _LOUDNESS)
    return VoiceCondition(mel_spectrogram(samples / np.float32(gain)), reference.text, gain)


@cache
def _recording(voice: str) -> NDArray[np.float32]:
    path = DATA / "infer" / "examples" / "basic" / f"basic_ref_{voice.removeprefix('basic_')}.wav"
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SPEECH_RATE:
        raise RuntimeError(f"{path} has {rate} Hz instead of {SPEECH_RATE}")
    mono: NDArray[np.float32] = samples.mean(1)
    return mono[: len(mono) // HOP * HOP]
