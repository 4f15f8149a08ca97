"""The Qwen2.5-Omni transcription service that Tritone replaces: text, subtitles and jobs."""

from __future__ import annotations

from typing import Final

from gateway.omni.protocol import Failure, error_response
from gateway.omni.router import PREFIX, router
from gateway.surfaces import Surface

SURFACE: Final = Surface(
    router,
    open_paths=frozenset({f"{PREFIX}/health"}),
    prefix=f"{PREFIX}/",
    error_response=error_response,
    error_model=Failure,
    field_names={"audio": "file", "window_seconds": "segment_duration"},
)
