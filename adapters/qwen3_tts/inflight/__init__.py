"""Qwen3-TTS with in-flight batching: many streams on one model, admitted and evicted between frames.

Imports go one way: device <- model <- codec <- io <- scheduling <- engine, loading.
"""
