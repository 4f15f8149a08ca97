"""The Whisper REST API that Tritone replaces: a transcript, and what a language model makes of it."""

from __future__ import annotations

from typing import Final

from gateway.surfaces import Surface
from gateway.whisper.protocol import Failure, error_response
from gateway.whisper.router import PREFIX, router

SURFACE: Final = Surface(
    router,
    open_paths=frozenset({f"{PREFIX}/health"}),
    prefix=f"{PREFIX}/",
    error_response=error_response,
    error_model=Failure,
    field_names={"audio": "file"},
)
