"""Qwen3-TTS in flight: many streams through one model, joining and leaving between frames."""
