"""Whisper, run by faster-whisper and CTranslate2."""
