"""Whisper, by faster-whisper and CTranslate2."""
