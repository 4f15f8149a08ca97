"""What lies between two parts: Kokoro's own silence cut to size, and a pause that fits the punctuation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.kokoro.parts import Break
from tritone.contract import SPEECH_RATE

_LOUD = 0.01
"""The part of an utterance's peak below which a sample counts as silence."""
_BEFORE, _AFTER, _FADE = 0.05, 0.1, 0.01
"""Seconds kept before the first and after the last loud sample, for soft consonants; of which faded."""
_PAUSES = {Break.NONE: 0.0, Break.WORD: 0.0, Break.CLAUSE: 0.1, Break.SENTENCE: 0.3, Break.LINE: 0.5}
"""Seconds of silence added at speed 1."""


def join_ready(audio: NDArray[np.float32], end: Break, speed: float) -> NDArray[np.float32]:
    """`audio` so that the next part can follow at once: trimmed, its ends faded, with the pause that `end` asks for."""
    magnitude = np.abs(audio)
    loud = np.flatnonzero(magnitude > magnitude.max(initial=0.0) * _LOUD)
    if not len(loud):
        return audio[:0]
    first, last = loud[0] - int(_BEFORE * SPEECH_RATE), loud[-1] + int(_AFTER * SPEECH_RATE)
    speech = audio[max(first, 0) : last].copy()
    ramp = np.linspace(0.0, 1.0, min(int(_FADE * SPEECH_RATE), len(speech)), dtype=np.float32)
    speech[: len(ramp)] *= ramp
    speech[len(speech) - len(ramp) :] *= ramp[::-1]
    return np.concatenate([speech, np.zeros(int(_PAUSES[end] * SPEECH_RATE / speed), np.float32)])
