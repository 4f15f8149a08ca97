"""These tests need torch and qwen-tts: scripts/test runs them in the environment `qwen`; others ignore them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = find_spec("qwen_tts") is not None
collect_ignore_glob = [] if HERE else ["test_*.py", "*/test_*.py"]

if HERE:
    import numpy as np
    import torch

    from adapters.qwen3_tts.checkpoint import Checkpoint
    from adapters.qwen3_tts.runtime import Hardware, Runtime
    from adapters.qwen3_tts.stock.package_model import PackageModel
    from adapters.qwen3_tts.stock.package_runner import PackageRunner
    from tests.unit.adapters.qwen3_tts.model.isolation import SoloRun, streams_of
    from tests.unit.adapters.qwen3_tts.oracle import LARGE, Oracle
    from tools.tiny_models.qwen3_tts import CHECKPOINTS, write_checkpoint
    from tools.tiny_models.shapes import SHAPES

    torch.set_num_threads(1)  # the matrices are tiny: with more threads, they would wait for each other

    @pytest.fixture(scope="session")
    def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The five checkpoints with random weights, laid out as the published ones."""
        folder = tmp_path_factory.mktemp("models")
        for name, (kind, parameters) in CHECKPOINTS.items():
            write_checkpoint(folder / name, kind, SHAPES["tiny"][parameters])
        return folder

    @pytest.fixture(scope="session")
    def oracle(model_dir: Path) -> Oracle:
        return Oracle.of(model_dir, LARGE.checkpoint)

    @pytest.fixture(scope="session")
    def solo_runs(oracle: Oracle) -> list[SoloRun]:
        return streams_of(oracle, LARGE.checkpoint)

    def load(folder: Path) -> PackageRunner:
        checkpoint = Checkpoint.read(folder)
        runtime = Runtime.choose(Hardware("cpu", None, flash_attention=False), {})
        return PackageRunner(PackageModel.load(checkpoint, runtime), checkpoint, default_speaker="Vivian")

    @pytest.fixture(scope="session")
    def custom_voice(model_dir: Path) -> PackageRunner:
        return load(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")

    @pytest.fixture(scope="session")
    def instructed(model_dir: Path) -> PackageRunner:
        return load(model_dir / "Qwen3-TTS-12Hz-1.7B-CustomVoice")

    @pytest.fixture(scope="session")
    def voice_design(model_dir: Path) -> PackageRunner:
        return load(model_dir / "Qwen3-TTS-12Hz-1.7B-VoiceDesign")

    @pytest.fixture(scope="session")
    def voice_clone(model_dir: Path) -> PackageRunner:
        return load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base")

    @pytest.fixture(scope="session")
    def reference() -> np.ndarray:
        """Two seconds of a tone at a voice's pitch, with overtones."""
        time = np.arange(48_000) / 24_000
        return sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 9)).astype(np.float32) * 0.1
