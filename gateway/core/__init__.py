"""The use cases without HTTP: synthesize, transcribe, and the Triton client that both call."""
