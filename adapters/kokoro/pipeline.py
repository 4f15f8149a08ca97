"""Kokoro's pipeline: normalized text, parts, phonemes, and the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.kokoro.network import FRAME, MAX_TOKENS, SPEED_RANGE, KokoroNetwork
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.voices import DEFAULT_VOICE, VoiceSelection, VoiceStyles
from adapters.speech.normalization import normalize, spell_numbers
from adapters.speech.pipeline import SpeechPiece, SpeechPipeline
from adapters.speech.text_splitter import Break, TextPart, split_text
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription
from tritone.errors import InvalidInput

_SPELLED = ("es", "fr", "it", "pt")
"""Languages whose numbers are written out for espeak-ng, which reads their digits with wrong sounds (Italian 15) or
without liaison (French 9 heures). This is done after the split, so that no part ends between the words of a number."""


@dataclass(frozen=True, kw_only=True)
class PhonemePiece(SpeechPiece):
    """The phonemes of one call of the network."""

    tokens: list[int]
    voice: str


class KokoroPipeline(SpeechPipeline[PhonemePiece]):
    """Kokoro's voices, phonemes and network together."""

    frame_samples: ClassVar[int] = FRAME

    def __init__(
        self, voices: VoiceStyles, phonemizer: Phonemizer, network: KokoroNetwork, *, options: Sequence[str]
    ) -> None:
        self._voices = voices
        self._phonemizer = phonemizer
        self._network = network
        listed = voices.list()
        self.description = SpeechDescription(
            voices=listed,
            languages=tuple(dict.fromkeys(voice.language for voice in listed)),
            default_voice=DEFAULT_VOICE,
            speed_range=SPEED_RANGE,
            options=tuple(options),
            mixes_voices=True,
        )

    def pieces(self, request: SpeechRequest) -> list[PhonemePiece]:
        """Return the pieces of a request in order; raises `InvalidInput` for a text without words."""
        selection = self._voices.select(request.text, request.voice, request.language)
        pieces = [
            PhonemePiece(tokens=tokens, text_tokens=len(tokens), end=end, voice=selection.voice, speed=request.speed)
            for part in split_text(normalize(request.text, selection.language))
            for tokens, end in self._tokens(part, selection)
        ]
        if not pieces:
            raise InvalidInput("text", "has no words to synthesize")
        return pieces

    def synthesize(self, piece: PhonemePiece) -> NDArray[np.float32]:
        """Run the network on one piece."""
        style = self._voices.style(piece.voice, len(piece.tokens))
        return self._network.synthesize(piece.tokens, style, piece.speed)

    def _tokens(self, part: TextPart, selection: VoiceSelection) -> Iterator[tuple[list[int], Break]]:
        """Yield a part's tokens, in as many pieces as the network's limit requires."""
        if not any(char.isalnum() for char in part.text):
            return
        text = spell_numbers(part.text, selection.language) if selection.language in _SPELLED else part.text
        tokens = self._network.tokens(self._phonemizer(text, selection.accent))
        if len(tokens) > MAX_TOKENS and len(part.text) > 1:
            for half in part.halves():
                yield from self._tokens(half, selection)
        elif tokens:
            yield tokens[:MAX_TOKENS], part.end
