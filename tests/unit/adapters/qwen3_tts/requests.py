"""Requests as the Triton side passes them to an engine."""

from __future__ import annotations

import math
from typing import Any

from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechOptions


def request(
    text: str = "The harbour was quiet.",
    *,
    voice: str = "",
    language: str = "auto",
    ref_audio: Any = None,
    timeout: float = math.inf,
    **options: Any,
) -> SpeechRequest:
    """Return a request; `options` are those of `SpeechOptions`."""
    return SpeechRequest(
        text=text,
        voice=voice,
        language=language,
        speed=1.0,
        options=SpeechOptions(**options),
        ref_audio=ref_audio,
        timeout=timeout,
    )
