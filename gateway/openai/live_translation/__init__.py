"""OpenAI's Realtime translation sessions: live speech in, its translation as text and speech out."""
