"""Qwen3-TTS through the `qwen-tts` package as it is published: CustomVoice, VoiceDesign and voice clone."""
