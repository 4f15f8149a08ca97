"""Kokoro's pipeline: normalized text, parts, phonemes, and the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.kokoro.phonemes import Phonemizer, from_ipa
from adapters.kokoro.pronunciations import Pronunciations
from adapters.kokoro.synthesis import FRAME, MAX_TOKENS, SPEED_RANGE, BatchNetwork, Network, Spoken
from adapters.kokoro.voices import DEFAULT_VOICE, VoiceSelection, VoiceStyles
from adapters.kokoro.word_spans import word_spans
from adapters.speech.normalization import normalize, spell_numbers
from adapters.speech.pipeline import SpeechPiece, SpeechPipeline, SpokenPiece
from adapters.speech.text_splitter import TextPart, split_text
from adapters.speech.word_match import match_words
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import InvalidInput
from tritone.transcript import Word
from tritone.written_words import written_words

_SPELLED = ("es", "fr", "it", "pt")
"""Languages whose numbers are written out for espeak-ng, which reads their digits with wrong sounds (Italian 15) or
without liaison (French 9 heures). This is done after the split, so that no part ends between the words of a number."""


@dataclass(frozen=True)
class WordTokens:
    """A word, and the range [first, last) of its tokens in those of its piece."""

    text: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class PhonemePiece(SpeechPiece):
    """The phonemes of one call of the network."""

    tokens: list[int]
    voice: str
    words: tuple[WordTokens, ...] = ()
    """The words of the piece, for requests with `word_timestamps`."""


class KokoroPipeline(SpeechPipeline[PhonemePiece]):
    """Kokoro's voices, phonemes and network together."""

    frame_samples: ClassVar[int] = FRAME

    def __init__(
        self, voices: VoiceStyles, phonemizer: Phonemizer, network: Network, *, options: Sequence[str]
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
            pronounces=True,
        )

    def pieces(self, request: SpeechRequest) -> list[PhonemePiece]:
        """Return the pieces of a request in order; raises `InvalidInput` for a text without words."""
        given = Pronunciations(request.text)
        selection = self._voices.select(given.written, request.voice, request.language)
        parts = [
            piece
            for part in split_text(normalize(given.text, selection.language))
            for piece in self._part(part, selection, request, given)
        ]
        if not parts:
            raise InvalidInput("text", "has no words to synthesize")
        return _with_written_words(given.written, parts) if request.options.word_timestamps else parts

    def synthesize(self, piece: PhonemePiece) -> NDArray[np.float32]:
        """Return the samples of one piece."""
        return self.speak(piece).samples

    def speak(self, piece: PhonemePiece) -> SpokenPiece:
        """Run the network on one piece; the times of its words come from the durations of its phonemes."""
        return _with_times(piece, self._network.speak(piece.tokens, self._style(piece), piece.speed))

    def speak_all(self, pieces: Sequence[PhonemePiece]) -> list[SpokenPiece]:
        """Run the network on all pieces at once, if it computes batches."""
        if not isinstance(self._network, BatchNetwork):
            return list(super().speak_all(pieces))
        inputs = [(piece.tokens, self._style(piece), piece.speed) for piece in pieces]
        return list(map(_with_times, pieces, self._network.speak_all(inputs)))

    def _style(self, piece: PhonemePiece) -> NDArray[np.float32]:
        return self._voices.style(piece.voice, len(piece.tokens))

    def _part(
        self, part: TextPart, selection: VoiceSelection, request: SpeechRequest, given: Pronunciations
    ) -> Iterator[PhonemePiece]:
        """Yield a part's phonemes, in as many pieces as the network's limit requires."""
        if not any(char.isalnum() for char in part.text):
            return
        text = spell_numbers(part.text, selection.language) if selection.language in _SPELLED else part.text
        phonemes = self._phonemes(text, selection.accent, given)
        tokens = self._network.tokens(phonemes)
        if len(tokens) > MAX_TOKENS and len(part.text) > 1:
            for half in part.halves():
                yield from self._part(half, selection, request, given)
        elif tokens:
            tokens = tokens[:MAX_TOKENS]
            words = self._words(text, phonemes, selection.accent, given) if request.options.word_timestamps else ()
            yield PhonemePiece(
                tokens=tokens,
                text_tokens=len(tokens),
                end=part.end,
                voice=selection.voice,
                speed=request.speed,
                words=tuple(words),
            )

    def _phonemes(self, text: str, accent: str, given: Pronunciations) -> str:
        def convert(ipa: str) -> str:
            sounds = from_ipa(ipa, accent)
            for sound in sounds:
                if not sound.isspace() and not self._network.tokens(sound):
                    raise InvalidInput("text", f"the pronunciation {ipa[:64]!r} has {sound!r}, which is unknown here")
            return sounds

        return given.phonemes(text, lambda words: self._phonemizer(words, accent), convert)

    def _words(self, text: str, phonemes: str, accent: str, given: Pronunciations) -> Iterator[WordTokens]:
        """Yield the spoken words of a piece, with their tokens."""
        known = [sound for sound in phonemes if self._network.tokens(sound)][:MAX_TOKENS]
        words = written_words(text)
        spans = word_spans([self._phonemes(word, accent, given) for word in words], "".join(known))
        for word, (first, last) in zip(words, spans, strict=True):
            yield WordTokens(word, first, last)


def _with_times(piece: PhonemePiece, spoken: Spoken) -> SpokenPiece:
    """Return the speech of a piece with the times of its words."""
    samples, durations = spoken
    if not piece.words or not len(durations):
        return SpokenPiece(samples)
    starts = np.cumsum(durations) * (FRAME / SPEECH_RATE)  # of the tokens, after the silence before them
    words = (Word(float(starts[word.first]), float(starts[word.last]), word.text, 1.0) for word in piece.words)
    return SpokenPiece(samples, tuple(words))


def _with_written_words(text: str, pieces: Sequence[PhonemePiece]) -> list[PhonemePiece]:
    """Return the pieces with the words of `text` in place of those that are spoken, which the normalization changed."""
    spoken = [(index, word) for index, piece in enumerate(pieces) for word in piece.words]
    found: list[list[WordTokens]] = [[] for _ in pieces]
    written = written_words(text)
    for word, range_ in zip(written, match_words(written, [word.text for _, word in spoken]), strict=True):
        if range_ is None:
            continue
        index, first = spoken[range_[0]]
        # A word that goes on in the next piece ends with this one.
        last = [each for at, each in spoken[slice(*range_)] if at == index][-1]
        found[index].append(WordTokens(word, first.first, last.last))
    return [replace(piece, words=tuple(words)) for piece, words in zip(pieces, found, strict=True)]
