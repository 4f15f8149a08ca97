"""`/v1/models`, `/v1/audio/models` and `/v1/audio/voices`."""
