"""These tests need torch and transformers: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = find_spec("transformers") is not None and find_spec("torch") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]

if HERE:
    import torch

    from adapters.zonos.weights import Weights
    from tools.tiny_models.zonos import MODEL, write_zonos_checkpoint

    torch.set_num_threads(1)  # the matrices are tiny: with more threads, they would wait for each other

    @pytest.fixture(scope="session")
    def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The three published folders, with random weights."""
        folder = tmp_path_factory.mktemp("zonos")
        write_zonos_checkpoint(folder)
        return folder

    @pytest.fixture(scope="session")
    def weights(models: Path) -> Weights:
        return Weights.load(models / MODEL, torch.device("cpu"), torch.float32)
