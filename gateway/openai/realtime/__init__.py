"""Live transcription over a WebSocket, as OpenAI's Realtime transcription sessions."""
