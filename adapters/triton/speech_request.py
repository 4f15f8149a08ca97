"""A speech request, checked against the model's description."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from adapters.triton.options_check import check_supported
from adapters.triton.references import Reference, ReferenceCache
from tritone.contract import SpeechDescription, SpeechOptions
from tritone.errors import InvalidInput
from tritone.languages import code_of, is_auto
from tritone.voice_mix import is_mix, rename

_MOST_BYTES: Final = 4
"""The most bytes of a character in UTF-8."""


@dataclass(frozen=True)
class SpeechRequest:
    """The text to synthesize and its options, in the model's own terms."""

    text: str
    voice: str
    """The id of a voice of the model, a mix of ids if the model mixes voices, or empty for the model's choice."""
    language: str
    """The code of a language of the model, or `auto`."""
    speed: float
    options: SpeechOptions = field(default_factory=SpeechOptions)
    """The client's options as they came; all are supported by the model."""
    reference: Reference | None = field(default=None, compare=False)
    """The voice to clone; only voice clone models get one."""
    timeout: float = math.inf
    """Seconds from arrival after which the client does not wait any longer."""

    @property
    def ref_audio(self) -> NDArray[np.float32] | None:
        """The samples of the voice to clone: mono (n,) at `SPEECH_RATE`."""
        return self.reference.samples if self.reference else None

    @classmethod
    def read(
        cls,
        text: bytes,
        options: SpeechOptions,
        model: SpeechDescription,
        max_chars: int,
        *,
        reference: Reference | None = None,
        timeout: float = math.inf,
    ) -> SpeechRequest:
        """Check the client's values; raises `InvalidInput` with the name of the wrong tensor or parameter."""
        check_supported(options, model.options)
        return cls(
            text=_text(text, max_chars),
            voice=_voice(options.voice, model),
            language=_language(options.language, model),
            speed=_speed(options.speed, model),
            options=options,
            reference=reference,
            timeout=timeout,
        )

    @classmethod
    def from_triton(
        cls,
        request: Any,
        options: SpeechOptions,
        model: SpeechDescription,
        max_chars: int,
        references: ReferenceCache,
    ) -> SpeechRequest:
        """Read the tensors of Triton's request; raises `InvalidInput`, and `UnknownVoice` as `references` does.

        A request that names its voice by key gets the options that the voice was sent with.
        """
        text = _input(request, "text")
        assert text is not None, "Triton rejects a request without it"
        read = cls.read(text[0], options, model, max_chars, timeout=timeout_of(request))
        reference = references.resolve(options, _input(request, "ref_audio"))
        if reference is None:
            return read
        sent = replace(options, ref_text=reference.text, x_vector_only=reference.x_vector_only)
        return replace(read, options=sent, reference=reference)


def options_of(request: Any) -> SpeechOptions:
    """Return the parameters of Triton's request; raises `InvalidInput`."""
    return SpeechOptions.from_parameters(json.loads(request.parameters() or "{}"))


def timeout_of(request: Any) -> float:
    """Return the request's `timeout` in seconds. Triton leaves it to the model; 0 there means none."""
    return request.timeout() / 1e6 or math.inf


def _input(request: Any, name: str) -> NDArray[Any] | None:
    """Return the elements of an input tensor; None where the request has none."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy().reshape(-1)


def _text(raw: bytes, max_chars: int) -> str:
    # Before anything reads it: a direct caller may send gigabytes, and all requests wait for this one's checks.
    if len(raw) > _MOST_BYTES * max_chars:
        raise InvalidInput("text", f"has {len(raw)} bytes; the limit is {max_chars} characters (MAX_INPUT_CHARS)")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("text", "not valid UTF-8") from None
    if "\0" in text:
        raise InvalidInput("text", "contains a NUL character")
    if not text.strip():
        raise InvalidInput("text", "is empty")
    if len(text) > max_chars:
        raise InvalidInput("text", f"has {len(text)} characters; the limit is {max_chars} (MAX_INPUT_CHARS)")
    return text


def _voice(name: str, model: SpeechDescription) -> str:
    ids = {voice.id.lower(): voice.id for voice in model.voices}

    def find(wanted: str) -> str:
        if wanted.strip().lower() not in ids:
            raise InvalidInput("voice", f"{wanted!r} is unknown; choose from: {', '.join(ids.values())}")
        return ids[wanted.strip().lower()]

    if not name.strip():
        return ""
    return rename(name, find) if model.mixes_voices and is_mix(name) else find(name)


def _language(name: str, model: SpeechDescription) -> str:
    if is_auto(name):
        return "auto"
    code = code_of(name)
    if code not in model.languages:
        raise InvalidInput(
            "language", f"{name!r} is not supported; choose auto or one of: {', '.join(model.languages)}"
        )
    return code


def _speed(speed: float, model: SpeechDescription) -> float:
    low, high = model.speed_range
    if not low <= speed <= high:
        raise InvalidInput("speed", f"{speed:g} is out of range; choose {low:g} to {high:g}")
    return speed
