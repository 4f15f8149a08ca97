"""A speech family on the kit of `adapters.speech`: a tone for each part of the text, as long as its letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from adapters.speech.engine import PartByPartEngine
from adapters.speech.normalization import normalize
from adapters.speech.pipeline import SpeechPiece, SpeechPipeline
from adapters.speech.self_test import self_test
from adapters.speech.text_splitter import split_text
from adapters.triton.instance import Instance
from adapters.triton.speech_model import SpeechModel
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription, Voice
from tritone.errors import InvalidInput
from tritone.families import Family

FAMILY: Final = Family.load(Path(__file__).parent)
HERTZ: Final = {"low": 220, "high": 440}
SAMPLES_PER_LETTER: Final = SPEECH_RATE // 16


@dataclass(frozen=True, kw_only=True)
class Tone(SpeechPiece):
    """A tone as long as `text_tokens` letters."""

    hertz: int


class SinePipeline(SpeechPipeline[Tone]):
    """A letter is a token, and a frame."""

    frame_samples: ClassVar[int] = SAMPLES_PER_LETTER

    def __init__(self, options: Sequence[str]) -> None:
        self.description = SpeechDescription(
            voices=tuple(Voice(voice, voice.capitalize(), "en") for voice in HERTZ),
            languages=("en",),
            default_voice="low",
            speed_range=(0.5, 2.0),
            options=tuple(options),
        )

    def pieces(self, request: SpeechRequest) -> list[Tone]:
        """Return a tone for each part with letters; raises `InvalidInput` for a text without any."""
        hertz = HERTZ[request.voice or self.description.default_voice]
        tones = [
            Tone(text_tokens=letters, end=part.end, speed=request.speed, hertz=hertz)
            for part in split_text(normalize(request.text, "en"))
            if (letters := sum(map(str.isalnum, part.text)))
        ]
        if not tones:
            raise InvalidInput("text", "has no words to synthesize")
        return tones

    def synthesize(self, piece: Tone) -> NDArray[np.float32]:
        """Return the tone."""
        time = np.arange(int(piece.text_tokens * SAMPLES_PER_LETTER / piece.speed)) / SPEECH_RATE
        return (0.3 * np.sin(2 * np.pi * piece.hertz * time)).astype(np.float32)


class TritonPythonModel(SpeechModel):
    """The sine model."""

    def load(self, instance: Instance) -> PartByPartEngine[Tone]:
        """Build the pipeline and test it."""
        pipeline = SinePipeline(instance.entry_in(FAMILY).options)
        self_test(pipeline)
        return PartByPartEngine(pipeline, max_requests=FAMILY.integer("SINE_MAX_REQUESTS").read())
