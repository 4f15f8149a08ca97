"""OpenAI's names of the fields that the use cases and models call differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELD_NAMES: Final[Mapping[str, str]] = {
    "text": "input",
    "audio": "file",
    "diarize": "response_format",
    "known_speaker_references": "known_speaker_references[]",
}
