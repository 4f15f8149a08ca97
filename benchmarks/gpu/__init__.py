"""The Qwen3-TTS engine on a GPU; README.md explains the measurements."""
