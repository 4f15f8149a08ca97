"""A request in the package's words."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.triton.speech import SpeechRequest
from tritone.contract import SpeechOptions
from tritone.errors import InvalidInput

Cut = Literal["length", "runaway"]

_FRAMES_PER_TOKEN = 13
"""A second of speech for a token of text: three times as slow as anybody reads..."""
_SPARE_FRAMES = 125
"""...and ten seconds for pauses. About three requests in a thousand never end by themselves."""


@dataclass(frozen=True)
class Sampling:
    """How text is read and codes drawn; utterances that agree on it can share a batch. None: as the checkpoint says."""

    temperature: float | None
    top_k: int | None
    top_p: float | None
    subtalker_temperature: float | None
    subtalker_top_k: int | None
    subtalker_top_p: float | None
    repetition_penalty: float | None
    seed: int | None
    streaming_text: bool | None = None
    """Whether the text is read while it is spoken; None: by clones alone."""

    @classmethod
    def of(cls, options: SpeechOptions) -> Sampling:
        """What a request asks for."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})

    @property
    def shares(self) -> bool:
        """Whether others may be in the batch: the rows draw from one stream of noise, which a seed must have alone."""
        return self.seed is None

    def arguments(self) -> dict[str, Any]:
        """The package's keyword arguments. It refuses to sample at temperature 0, which means no sampling at all."""
        finer = 0.0 if self.temperature == 0 and self.subtalker_temperature is None else self.subtalker_temperature
        given = {
            **_draws("", "do_sample", self.temperature, self.top_k, self.top_p),
            **_draws("subtalker_", "subtalker_dosample", finer, self.subtalker_top_k, self.subtalker_top_p),
            "repetition_penalty": self.repetition_penalty,
        }
        return {name: value for name, value in given.items() if value is not None}


def _draws(of: str, switch: str, temperature: float | None, top_k: int | None, top_p: float | None) -> dict[str, Any]:
    if temperature == 0:
        return {switch: False}
    given = {f"{of}temperature": temperature, f"{of}top_k": top_k, f"{of}top_p": top_p}
    return given | ({switch: True} if temperature else {})


@dataclass(frozen=True, eq=False)
class Utterance:
    """What the package is to speak for one caller."""

    text: str
    text_tokens: int
    speaker: str
    """In lower case, as the package looks it up; empty where the voice is designed or cloned."""
    language: str
    """A language's name, or `auto`."""
    instruct: str
    reference: NDArray[np.float32] | None
    """The voice to clone, mono samples (n,) at 24 kHz."""
    reference_text: str | None
    """None: the voice's colour alone is taken."""
    sampling: Sampling
    max_tokens: int
    """Codec tokens after which it is cut; the last one is not spoken."""
    cut: Cut
    """What it is called if that happens."""

    @classmethod
    def of(
        cls,
        request: SpeechRequest,
        checkpoint: Checkpoint,
        *,
        text_tokens: int,
        speaker: str,
        max_new_tokens: int,
        default_language: str = "auto",
    ) -> Utterance:
        """Check what only this family of models asks for; raises `InvalidInput`.

        `speaker` and `default_language` (a code) are for requests that name none; `max_new_tokens` is the checkpoint's.
        """
        options = request.options
        language = default_language if request.language == "auto" else request.language
        if checkpoint.mode == "voice_design" and not options.instruct.strip():
            raise InvalidInput("instruct", "this model needs it: describe the voice, as in `a calm, low voice`")
        if checkpoint.mode == "voice_clone":
            _check_clone(request)
        asked = options.max_new_tokens or max_new_tokens
        guard = _SPARE_FRAMES + _FRAMES_PER_TOKEN * text_tokens
        return cls(
            text=request.text.strip(),  # a newline at the start would melt into the prompt's
            text_tokens=text_tokens,
            speaker=(request.voice or speaker).lower(),
            language="auto" if language == "auto" else checkpoint.languages[language],
            instruct=options.instruct.strip(),
            reference=request.ref_audio,
            reference_text=None if options.x_vector_only else options.ref_text.strip(),
            sampling=Sampling.of(options),
            max_tokens=min(asked, guard),
            cut="length" if asked <= guard else "runaway",
        )


def _check_clone(request: SpeechRequest) -> None:
    if request.ref_audio is None:
        raise InvalidInput("ref_audio", "this model needs it: a recording of the voice to clone")
    if not request.options.x_vector_only and not request.options.ref_text.strip():
        raise InvalidInput("ref_text", "is missing: give the words of ref_audio, or set x_vector_only")
