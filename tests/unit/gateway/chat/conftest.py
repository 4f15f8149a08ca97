"""The gateway of the conversations, and the messages of clients that chat with it."""

from __future__ import annotations

import base64
from typing import Any, Final

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conversation.conftest import gateway, language_model
from tests.unit.gateway.recordings import RATE, encoded, tone
from tests.unit.gateway.transcription.conftest import whisper

__all__ = ["gateway", "language_model", "whisper"]

ANSWER: Final = "Good morning. The train leaves at nine."
VOICE: Final[Any] = {"voice": "af_kore", "format": "wav"}
SPOKEN: Final[dict[str, Any]] = {"model": "gpt-audio", "modalities": ["text", "audio"], "audio": VOICE}


def recording(part: int, container: str = "wav", codec: str = "pcm_s16le") -> str:
    """Return a second of speech, which the fake Whisper transcribes as `part N`, as a file in base64."""
    return base64.b64encode(encoded(tone(1.0) * (0.22 + 0.02 * part), container, codec, RATE)).decode()


def question(part: int, *texts: str) -> Any:
    """Return a message of the user with a recording behind `texts`."""
    audio = {"type": "input_audio", "input_audio": {"data": recording(part), "format": "wav"}}
    return {"role": "user", "content": [*({"type": "text", "text": text} for text in texts), audio]}


def texts_of(triton: FakeTriton) -> list[str]:
    """Return what was spoken."""
    return [call.inputs["text"].item().decode() for call in triton.calls if "text" in call.inputs]
