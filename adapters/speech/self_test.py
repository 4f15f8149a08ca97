"""The self-test of a speech pipeline: a known sentence, synthesized when the model is loaded."""

from __future__ import annotations

from typing import Final

import numpy as np

from adapters.speech.joins import prepare_join
from adapters.speech.pipeline import P, SpeechPipeline
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE

TEXT: Final = "The model is loaded, and it can speak."
_SECONDS: Final = (1.5, 4.0)
_LOUDNESS: Final = (0.01, 0.5)
"""Root mean square of the samples."""


def self_test(pipeline: SpeechPipeline[P], *, text: str = TEXT, seconds: tuple[float, float] = _SECONDS) -> None:
    """Synthesize `text` in the default voice.

    Raises `RuntimeError` if the audio is not `seconds` (least, most) long, silent, or not a number.
    """
    voice = pipeline.description.default_voice
    languages = {each.id: each.language for each in pipeline.description.voices}
    request = SpeechRequest(text=text, voice=voice, language=languages.get(voice, "auto"), speed=1.0)
    pieces = pipeline.pieces(request)
    audio = np.concatenate([prepare_join(pipeline.synthesize(piece), piece.end, piece.speed) for piece in pieces])
    length = len(audio) / SPEECH_RATE
    loudness = float(np.sqrt(np.mean(audio**2))) if len(audio) else 0.0
    if not (seconds[0] < length < seconds[1] and _LOUDNESS[0] < loudness < _LOUDNESS[1]):
        raise RuntimeError(
            f"the self-test failed: {text!r} gave {length:.2f} s of audio at an RMS of {loudness:.4f}; "
            "the weights or the runtime are broken"
        )
