"""The codec frame: the unit of time of Qwen3-TTS."""

from __future__ import annotations

from typing import Final

from tritone.contract import SPEECH_RATE

SAMPLES_PER_FRAME: Final = 1920
"""80 ms at `SPEECH_RATE`."""
FRAME_SECONDS: Final = SAMPLES_PER_FRAME / SPEECH_RATE
FRAMES_PER_SECOND: Final = SPEECH_RATE / SAMPLES_PER_FRAME
