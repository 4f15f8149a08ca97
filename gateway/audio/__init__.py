"""Decode uploaded audio; encode synthesized audio, and change its tempo, while it streams."""
