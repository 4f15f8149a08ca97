"""These tests need torch and qwen-tts: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

from importlib.util import find_spec

HERE = find_spec("qwen_tts") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]
