"""Zonos: speech in the voice of a recording, with a vector of emotions."""
