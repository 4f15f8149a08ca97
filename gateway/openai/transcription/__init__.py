"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: audio of any length in, text in six formats out."""
