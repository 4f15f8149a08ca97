"""The joins between parts: the model's own silence trimmed, and a pause that fits the punctuation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.speech.text_splitter import Break
from tritone.contract import SPEECH_RATE

_LOUD = 0.01
"""Samples below this share of the part's peak count as silence."""
_BEFORE, _AFTER, _FADE = 0.05, 0.1, 0.01
"""Seconds kept before the first and after the last loud sample, for soft consonants; seconds of fade at both ends."""
_PAUSES = {Break.NONE: 0.0, Break.WORD: 0.0, Break.CLAUSE: 0.1, Break.SENTENCE: 0.3, Break.LINE: 0.5}
"""Seconds of silence added at speed 1."""


def prepare_join(samples: NDArray[np.float32], end: Break, speed: float) -> NDArray[np.float32]:
    """Return a part ready for the next one to follow: trimmed, faded at both ends, with the pause that `end` needs."""
    first, last = speech_bounds(samples)
    speech = samples[first:last].copy()
    if not len(speech):
        return speech
    ramp = np.linspace(0.0, 1.0, min(int(_FADE * SPEECH_RATE), len(speech)), dtype=np.float32)
    speech[: len(ramp)] *= ramp
    speech[len(speech) - len(ramp) :] *= ramp[::-1]
    return np.concatenate([speech, np.zeros(int(_PAUSES[end] * SPEECH_RATE / speed), np.float32)])


def speech_bounds(samples: NDArray[np.float32]) -> tuple[int, int]:
    """Return the first sample of a part that is kept, and the one after the last; twice 0 for silence."""
    magnitude = np.abs(samples)
    loud = np.flatnonzero(magnitude > magnitude.max(initial=0.0) * _LOUD)
    if not len(loud):
        return 0, 0
    first, last = loud[0] - int(_BEFORE * SPEECH_RATE), loud[-1] + int(_AFTER * SPEECH_RATE)
    return max(int(first), 0), min(int(last), len(samples))
