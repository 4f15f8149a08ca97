"""The engine on the published `qwen-tts` package: static batches, no streaming."""
