"""Kokoro-82M: a small voice for machines without a GPU, as an onnxruntime session."""
