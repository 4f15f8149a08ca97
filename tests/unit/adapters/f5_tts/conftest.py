"""These tests need torch and the package: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = find_spec("f5_tts") is not None and find_spec("torch") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]

if HERE:
    import torch

    from adapters.f5_tts.checkpoint import Networks, load_networks
    from tests.unit.adapters.f5_tts.judge import Judge
    from tools.tiny_models.f5_tts import F5_SHAPES, write_f5_checkpoint

    torch.set_num_threads(1)  # the matrices are tiny: with more threads, they would wait for each other

    @pytest.fixture(scope="session")
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A checkpoint with random weights, laid out as the published one."""
        folder = tmp_path_factory.mktemp("f5") / "F5TTS_v1_Base"
        write_f5_checkpoint(folder, F5_SHAPES["tiny"])
        return folder

    @pytest.fixture(scope="session")
    def networks(folder: Path) -> Networks:
        return load_networks(folder, torch.device("cpu"), torch.float32)

    @pytest.fixture(scope="session")
    def judge(folder: Path) -> Judge:
        return Judge(folder)
