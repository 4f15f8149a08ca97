"""What the Qwen3-TTS engine does on a GPU; README.md says what is measured, and how."""
