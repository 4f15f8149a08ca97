"""The random checkpoints have the shapes of the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from tools.tiny_models.config import make_config
from tools.tiny_models.qwen3_tts import skeleton, write_checkpoint
from tools.tiny_models.shapes import SHAPES, Parameters
from tools.tiny_models.tokenizer import write_tokenizer
from tritone.contract import SpeechOptions


@pytest.mark.parametrize(("parameters", "millions"), [("0.6B", 905.8), ("1.7B", 1916.7)])
def test_full_size_has_the_published_number_of_parameters(
    parameters: Parameters, millions: float, tmp_path: Path
) -> None:
    config = make_config("custom_voice", SHAPES["full"][parameters], write_tokenizer(tmp_path))
    assert sum(weight.numel() for weight in skeleton(config).parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(("parameters", "projected"), [("0.6B", False), ("1.7B", True)])
def test_only_the_larger_model_has_a_projection_before_its_code_predictor(
    model_dir: Path, parameters: Parameters, projected: bool
) -> None:
    with safe_open(model_dir / f"Qwen3-TTS-12Hz-{parameters}-CustomVoice" / "model.safetensors", "pt") as weights:
        assert any("small_to_mtp_projection" in name for name in weights.keys()) == projected  # noqa: SIM118 - no dict
        assert any("text_projection" in name for name in weights.keys())  # noqa: SIM118


def test_thin_size_has_the_published_number_of_layers() -> None:
    thin, full = SHAPES["thin"]["0.6B"], SHAPES["full"]["0.6B"]
    assert (thin.talker.layers, thin.predictor.layers) == (full.talker.layers, full.predictor.layers)


def test_checkpoint_has_the_published_files(model_dir: Path) -> None:
    files = {str(path.relative_to(model_dir)) for path in model_dir.rglob("*") if path.is_file()}
    folder = "Qwen3-TTS-12Hz-0.6B-Base"
    assert {file.removeprefix(f"{folder}/") for file in files if file.startswith(folder)} == {
        "config.json",
        "generation_config.json",
        "merges.txt",
        "model.safetensors",
        "preprocessor_config.json",
        "speech_tokenizer/config.json",
        "speech_tokenizer/configuration.json",
        "speech_tokenizer/model.safetensors",
        "speech_tokenizer/preprocessor_config.json",
        "tokenizer_config.json",
        "vocab.json",
    }
    config = json.loads((model_dir / folder / "config.json").read_text())
    assert config["speaker_encoder_config"]["enc_dim"] == config["talker_config"]["hidden_size"]


def test_endless_checkpoint_never_draws_the_end_token(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "custom_voice", SHAPES["tiny"]["0.6B"], endless=True)
    weights = Weights.load(tmp_path)
    stepper = FrameStepper(weights, slots=4, positions=256)
    prompt = PromptBuilder(weights).build("Please speak slowly.", speaker="ryan")
    for slot in range(4):
        stepper.start(slot, prompt, SamplingParams.from_options(weights.generation, SpeechOptions(), seed=slot))
    assert not any(stepper.step(range(4)).ended.any() for _ in range(200))
