"""`/v1/audio/speech/stream`: text in as it is written, speech out, over a WebSocket."""
