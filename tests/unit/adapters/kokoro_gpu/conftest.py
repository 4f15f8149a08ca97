"""These tests need torch and onnx: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

from importlib.util import find_spec

HERE = find_spec("onnx") is not None and find_spec("torch") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]

if HERE:
    from tests.unit.adapters.kokoro_gpu.small_network import continuous_phase, cuda, network

    __all__ = ["continuous_phase", "cuda", "network"]
