"""`/v1/audio/voices` and `/v1/audio/voice_consents`: voices that clients register."""
