"""What a recording says besides its words: where there is speech, and whose; routes of speaches and LocalAI."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from gateway.speech_analysis.diarization import router as diarization
from gateway.speech_analysis.speakers import router as speakers
from gateway.speech_analysis.vad import router as vad
from gateway.surfaces import Surface

_router = APIRouter()
_router.include_router(vad)
_router.include_router(speakers)
_router.include_router(diarization)

SURFACE: Final = Surface(
    _router,
    # Their fields have their own names in errors; the form of errors is OpenAI's.
    further_paths=frozenset(
        {"/v1/audio/speech/timestamps", "/v1/audio/speech/embedding", "/v1/audio/diarization", "/v1/vad", "/vad"}
        | {f"/v1/voice/{name}" for name in ("embed", "verify", "identify")}
    ),
)
