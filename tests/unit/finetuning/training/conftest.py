"""These tests need torch and qwen-tts: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = find_spec("qwen_tts") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]

if HERE:
    sys.path.insert(0, str(Path(__file__).parents[3] / "stand_ins"))  # the adapters' tests import such modules

    import torch

    from tests.unit.finetuning.training.tiny import Voice, train_voice, write_start

    torch.set_num_threads(1)  # the matrices are tiny: with more threads, they would wait for each other

    @pytest.fixture(scope="session")
    def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A Base checkpoint in the shape of 1.7B."""
        return write_start(tmp_path_factory.mktemp("base") / "1.7B", "1.7B")

    @pytest.fixture(scope="session")
    def voice(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Voice:
        """A voice that has learned its data set by heart, in the shape of 1.7B."""
        return train_voice(base, tmp_path_factory.mktemp("voice"))
