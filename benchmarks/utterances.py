"""The text and the voices of the benchmarks of Qwen3-TTS."""

from __future__ import annotations

VOICES = ("ryan", "aiden", "eric", "serena")
TEXT = "The library closes at nine, but the reading room stays open until the last reader, number {}, has gone home."
