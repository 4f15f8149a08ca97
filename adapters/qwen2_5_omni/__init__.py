"""Qwen2.5-Omni: transcription by its thinker. The talker, which speaks, and the visual encoder are never read."""
