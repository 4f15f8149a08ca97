"""These tests need torch and transformers: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = find_spec("transformers") is not None and find_spec("torch") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]

if HERE:
    import torch

    from adapters.qwen2_5_omni.prompt import PromptBuilder
    from adapters.qwen2_5_omni.weights import Weights
    from tests.unit.adapters.qwen2_5_omni.judge import Judge
    from tools.tiny_models.qwen2_5_omni import write_omni_checkpoint

    torch.set_num_threads(1)  # the matrices are tiny: with more threads, they would wait for each other

    @pytest.fixture(scope="session")
    def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A checkpoint with random weights, laid out as the published one."""
        folder = tmp_path_factory.mktemp("omni") / "plain"
        write_omni_checkpoint(folder)
        return folder

    @pytest.fixture(scope="session")
    def awq(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The same, quantised with AWQ."""
        folder = tmp_path_factory.mktemp("omni") / "awq"
        write_omni_checkpoint(folder, awq=True)
        return folder

    @pytest.fixture(scope="session", params=["plain", "awq"])
    def folder(request: pytest.FixtureRequest) -> Path:
        """Each of the two checkpoints."""
        path: Path = request.getfixturevalue(request.param)
        return path

    @pytest.fixture(scope="session")
    def weights(folder: Path) -> Weights:
        return Weights.load(folder)

    @pytest.fixture(scope="session")
    def prompts(folder: Path, weights: Weights) -> PromptBuilder:
        return PromptBuilder(folder, weights)

    @pytest.fixture(scope="session")
    def judge(folder: Path) -> Judge:
        return Judge.load(folder)
