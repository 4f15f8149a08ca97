"""OpenAI's transcription and translation routes: audio of any length in, text in five formats out."""
