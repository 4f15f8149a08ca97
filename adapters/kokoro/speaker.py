"""From a request to the pieces that are spoken one after the other, and from a piece to samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.kokoro.normalize import normalize
from adapters.kokoro.parts import Break, Part, split
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.seams import join_ready
from adapters.kokoro.synthesizer import FRAME, MAX_TOKENS, SPEED_RANGE, Synthesizer
from adapters.kokoro.voices import DEFAULT_VOICE, Choice, Voices
from adapters.triton.speech import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import InvalidInput

_PROOF = "The model is loaded, and it can speak."
_PROOF_SECONDS = (1.5, 4.0)


@dataclass(frozen=True)
class Piece:
    """What one call of the network speaks."""

    tokens: list[int]
    end: Break
    voice: str
    speed: float


@dataclass(frozen=True)
class Spoken:
    """The samples of a piece (24 kHz, -1 to 1), ready to follow the last ones, and the frames that Kokoro made."""

    audio: NDArray[np.float32]
    frames: int


class Speaker:
    """Kokoro's voices, phonemes and network together; `pieces` and `speak` may run in different threads."""

    def __init__(self, voices: Voices, phonemizer: Phonemizer, synthesizer: Synthesizer) -> None:
        self._voices = voices
        self._phonemizer = phonemizer
        self._synthesizer = synthesizer
        listed = voices.list()
        self.description = SpeechDescription(
            voices=listed,
            languages=tuple(dict.fromkeys(voice.language for voice in listed)),
            default_voice=DEFAULT_VOICE,
            speed_range=SPEED_RANGE,
        )

    def pieces(self, request: SpeechRequest) -> list[Piece]:
        """The whole request, in order; raises `InvalidInput` where nothing of it can be spoken."""
        choice = self._voices.choose(request.text, request.voice, request.language)
        pieces = [
            Piece(tokens, end, choice.voice, request.speed)
            for part in split(normalize(request.text, choice.language))
            for tokens, end in self._tokens(part, choice)
        ]
        if not pieces:
            raise InvalidInput("text", "has nothing that can be spoken")
        return pieces

    def speak(self, piece: Piece) -> Spoken:
        """Run the network on one piece."""
        style = self._voices.style(piece.voice, len(piece.tokens))
        audio = self._synthesizer.speak(piece.tokens, style, piece.speed)
        return Spoken(join_ready(audio, piece.end, piece.speed), len(audio) // FRAME)

    def prove(self) -> None:
        """Speak a known sentence; raises `RuntimeError` if what comes out cannot be it."""
        request = SpeechRequest(text=_PROOF, voice=DEFAULT_VOICE, language="en", speed=1.0)
        audio = np.concatenate([self.speak(piece).audio for piece in self.pieces(request)])
        seconds = len(audio) / SPEECH_RATE
        loudness = float(np.sqrt(np.mean(audio**2))) if len(audio) else 0.0
        if not (_PROOF_SECONDS[0] < seconds < _PROOF_SECONDS[1] and 0.01 < loudness < 0.5):
            raise RuntimeError(
                f"Kokoro does not speak: {_PROOF!r} gave {seconds:.2f} s of audio at an rms of {loudness:.4f}; "
                "the weights or onnxruntime are broken"
            )

    def _tokens(self, part: Part, choice: Choice) -> Iterator[tuple[list[int], Break]]:
        """A part's tokens, in as many pieces as the network's limit makes of it."""
        if not any(char.isalnum() for char in part.text):
            return
        tokens = self._synthesizer.tokens(self._phonemizer(part.text, choice.accent))
        if len(tokens) > MAX_TOKENS and len(part.text) > 1:
            for half in part.halves():
                yield from self._tokens(half, choice)
        elif tokens:
            yield tokens[:MAX_TOKENS], part.end
