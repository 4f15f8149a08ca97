"""The measurements that a use case reports of its work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WorkTelemetry:
    """The record of one piece of work. It never holds text, audio, voices or keys."""

    request_id: str
    """Also the id of the requests to Triton."""
    model: str | None = None
    """The id of the model that does the work."""
    audio_seconds: float = 0.0
    """Seconds of audio synthesized or transcribed so far."""
