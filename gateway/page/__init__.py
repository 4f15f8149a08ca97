"""The page for people at `/`: speech, transcription, voices, jobs and conversation in a browser."""

from __future__ import annotations

from typing import Final

from gateway.page.router import PATHS, router
from gateway.surfaces import Surface

SURFACE: Final = Surface(router, open_paths=PATHS)
