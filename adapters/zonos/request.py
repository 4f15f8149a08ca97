"""From a speech request to the prompts of its parts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adapters.speech.script import language_of_script
from adapters.triton.references import Reference
from adapters.triton.response_stream import FinishReason
from adapters.triton.speech_request import SpeechRequest
from adapters.zonos.conditioner import USUAL_EMOTIONS, Conditions
from adapters.zonos.phonemes import Phonemizer
from adapters.zonos.sampler import SamplingParams
from adapters.zonos.settings import FRAMES_PER_SECOND, LONGEST_FRAMES, LONGEST_PHONEMES
from adapters.zonos.stepper import Prompt
from adapters.zonos.vocabulary import LANGUAGES, language_number, token_ids
from adapters.zonos.weights import Weights
from tritone.contract import SpeechOptions
from tritone.emotions import weights_of
from tritone.errors import InvalidInput
from tritone.languages import NAMES

_USUAL_RATE: Final = 15.0
"""Phonemes a second."""
_SLOWEST: Final = 5.0
"""Phonemes a second at which a part may be spoken before it counts as a runaway, and what is added for pauses."""
_SPARE_SECONDS: Final = 4.0
_PART_SECONDS: Final = 16.0
"""The usual length of a part: far enough from 30 s, after which a part is cut."""
_USUAL_GUIDANCE: Final = 2.0


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a text, which is synthesized on its own."""

    prompt: Prompt
    max_frames: int
    limit_reason: FinishReason
    """The finish reason when `max_frames` is reached."""


@dataclass(frozen=True, eq=False)
class PreparedInput:
    """The parts of a request, and the number of phonemes in all of them."""

    parts: list[Part]
    phonemes: int


class InputProcessor:
    """Checks and prepares the requests of one checkpoint."""

    def __init__(
        self, weights: Weights, phonemizer: Phonemizer, encode: Callable[[NDArray[np.float32]], Tensor]
    ) -> None:
        """`encode`: samples -> the embedding of their voice."""
        self._weights = weights
        self._phonemizer = phonemizer
        self._voices = VoiceCache(encode)

    def check(self, request: SpeechRequest) -> None:
        """Raise `InvalidInput` for a request that this model cannot synthesize. Quick."""
        if request.reference is None:
            raise InvalidInput("ref_audio", "this model needs it: a recording of the voice to clone")
        _language_of(request)

    def prepare(self, request: SpeechRequest) -> PreparedInput:
        """Encode the voice, if it is new, and read the text. Takes as long as many frames."""
        assert request.reference is not None
        options, language = request.options, _language_of(request)
        speaker = self._voices.get(request.reference).to(self._weights.embedding.dtype)
        rate = _USUAL_RATE if options.speaking_rate is None else options.speaking_rate
        seed = secrets.randbits(62) if options.seed is None else options.seed
        usual = Conditions([], language_number(language), speaker)
        parts = []
        phonemes = self._phonemizer.parts(
            request.text, language, chars=round(_PART_SECONDS * max(rate, _SLOWEST)), phonemes=LONGEST_PHONEMES
        )
        for number, text in enumerate(phonemes):
            conditions = Conditions(
                tokens=token_ids(text),
                language=usual.language,
                speaker=speaker,
                emotions=weights_of(options.emotions) if options.emotions else USUAL_EMOTIONS,
                pitch_std=usual.pitch_std if options.pitch_std is None else options.pitch_std,
                speaking_rate=rate,
            )
            guidance = _USUAL_GUIDANCE if options.cfg_scale is None else options.cfg_scale
            prompt = Prompt(self._weights.prefix(conditions), guidance, _sampling(options, seed + number))
            runaway = round((_SPARE_SECONDS + len(text) / min(max(rate, 1.0), _SLOWEST)) * FRAMES_PER_SECOND)
            limit = min(runaway, LONGEST_FRAMES)
            parts.append(Part(prompt, limit, "runaway" if runaway < LONGEST_FRAMES else "length"))
        if not parts:
            raise InvalidInput("text", "has nothing to say")
        return PreparedInput(parts, sum(part.prompt.prefix.shape[1] for part in parts))


class VoiceCache:
    """The embeddings of the voices that are held. Each ends with its reference."""

    def __init__(self, encode: Callable[[NDArray[np.float32]], Tensor]) -> None:
        self._encode = encode
        self._voices: WeakKeyDictionary[Reference, Tensor] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, reference: Reference) -> Tensor:
        """Return the embedding of a voice, and find it first if it is new."""
        with self._lock:
            voice = self._voices.get(reference)
            if voice is None:
                voice = self._voices[reference] = self._encode(reference.samples)
            return voice


def _language_of(request: SpeechRequest) -> str:
    """Return the code of the language; raises `InvalidInput` for a text in a script that the model cannot read."""
    if request.language != "auto":
        return request.language
    language = language_of_script(request.text) or "en"
    if language not in LANGUAGES:
        raise InvalidInput("text", f"is in {NAMES[language].title()}, which this model does not read")
    return language


def _sampling(options: SpeechOptions, seed: int) -> SamplingParams:
    """Return upstream's parameters, with those that the request sets."""
    names = "temperature", "top_p", "top_k", "min_p", "repetition_penalty"
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return SamplingParams(seed, **given)
