"""The codec frame: the unit of time of Qwen3-TTS."""

from __future__ import annotations

from typing import Final

from tritone.contract import SPEECH_RATE

SAMPLES_PER_FRAME: Final = 1920
"""80 ms at `SPEECH_RATE`."""
FRAME_SECONDS: Final = SAMPLES_PER_FRAME / SPEECH_RATE
FRAMES_PER_SECOND: Final = SPEECH_RATE / SAMPLES_PER_FRAME
_FRAMES_PER_TOKEN = 13
"""A second of speech per text token: three times as slow as people read..."""
_SPARE_FRAMES = 125
"""...and ten seconds for pauses. About three requests in a thousand never draw the end token."""


def runaway_limit(text_tokens: int) -> int:
    """Return the number of codec tokens after which speech of a text counts as a runaway."""
    return _SPARE_FRAMES + _FRAMES_PER_TOKEN * text_tokens
