"""Live transcription over a WebSocket, in the shape of OpenAI's Realtime transcription sessions."""
