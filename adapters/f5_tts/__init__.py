"""F5-TTS: flow matching, many requests in one batch of refining steps."""
