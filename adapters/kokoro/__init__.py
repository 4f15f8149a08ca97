"""Kokoro-82M: a small speech model for machines without a GPU, run by onnxruntime."""
