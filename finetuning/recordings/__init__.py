"""Recordings into clips: found, cut at silences, brought to 24 kHz, transcribed. In the environment `whisper`."""
