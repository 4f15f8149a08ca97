"""Requests as the Triton side passes them to an engine."""

from __future__ import annotations

import math
from typing import Any

from adapters.triton.references import ReferenceCache
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechOptions
from tritone.forgotten_voices import ForgottenVoices

_references = ReferenceCache(ForgottenVoices(None), max_bytes=1 << 24, seconds=math.inf)


def request(
    text: str = "The harbour was quiet.",
    *,
    voice: str = "",
    language: str = "auto",
    ref_audio: Any = None,
    timeout: float = math.inf,
    **options: Any,
) -> SpeechRequest:
    """Return a request; `options` are those of `SpeechOptions`. The same samples and words are the same reference."""
    sent = SpeechOptions(**options)
    return SpeechRequest(
        text=text,
        voice=voice,
        language=language,
        speed=1.0,
        options=sent,
        reference=None if ref_audio is None else _references.resolve(sent, ref_audio),
        timeout=timeout,
    )
