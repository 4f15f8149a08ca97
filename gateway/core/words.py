"""The words of a recording that is to be cloned."""

from __future__ import annotations

from typing import BinaryIO

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import TranscriptionRequest, transcribe
from tritone.contract import TranscriptionOptions


async def words_of(services: Services, file: BinaryIO, telemetry: WorkTelemetry) -> tuple[str, str]:
    """Return the words of a recording and the code of their language; both are empty if there are none.

    Raises `ModelNotFound` if no transcription model is served, and what `transcribe` raises.
    """
    stream = await transcribe(services, file, TranscriptionRequest(None, TranscriptionOptions()), telemetry.part())
    result = await stream.read_all()
    return result.text.strip(), result.language_code or ""
