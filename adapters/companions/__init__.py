"""Models that Triton serves beside the speech and transcription models: the server's own document, and long recordings."""
