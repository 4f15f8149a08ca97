"""Qwen3-TTS: CustomVoice, VoiceDesign and voice clone, on our own engine or on the `qwen-tts` package."""
