"""The F5-TTS service that Tritone replaces: `POST /tts`, a text in the voice of a recording."""

from __future__ import annotations

from typing import Final

from gateway.f5_tts.protocol import Failure, error_response
from gateway.f5_tts.router import PATH, PREFIX, router
from gateway.surfaces import Surface

SURFACE: Final = Surface(
    router,
    prefix=f"{PREFIX}/",
    further_paths=frozenset({PATH}),
    error_response=error_response,
    error_model=Failure,
)
