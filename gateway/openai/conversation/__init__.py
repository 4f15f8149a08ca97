"""Conversations over `/v1/realtime`: speech in, the spoken answer of a language model out, in OpenAI's events."""
