"""`POST /v1/chat/completions`: a language model behind this server, which listens and speaks as OpenAI's gpt-audio."""
