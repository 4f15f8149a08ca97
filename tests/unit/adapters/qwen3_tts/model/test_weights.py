"""A checkpoint's tensors, and the checkpoints that are rejected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.qwen3_tts.inflight.model.weights import UnreadableCheckpointError, Weights

CHECKPOINT = "Qwen3-TTS-12Hz-1.7B-CustomVoice"


@pytest.fixture
def folder(model_dir: Path, tmp_path: Path) -> Path:
    """A copy of a checkpoint, to be changed."""
    return shutil.copytree(model_dir / CHECKPOINT, tmp_path / CHECKPOINT)


def change_config(folder: Path, part: str, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (config["talker_config"] if part == "talker" else config["talker_config"][part]).update(values)
    (folder / "config.json").write_text(json.dumps(config))


def test_checkpoint_in_several_files_is_loaded(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    whole = Weights.load(folder)
    (folder / "model.safetensors").unlink()
    for part in range(2):
        names = sorted(tensors)[part::2]
        save_file({name: tensors[name] for name in names}, folder / f"model-0000{part + 1}-of-00002.safetensors")
    assert torch.equal(Weights.load(folder).talker.layers[1].qkv, whole.talker.layers[1].qkv)


def test_tensors_have_the_requested_precision(folder: Path) -> None:
    weights = Weights.load(folder, dtype=torch.bfloat16)
    assert weights.predictor_in is not None
    for tensor in (weights.talker.layers[0].qkv, weights.codec_head, *weights.code_embeddings, *weights.predictor_in):
        assert tensor.dtype == torch.bfloat16


def test_encoder_of_the_codec_keeps_its_published_precision(model_dir: Path) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base", dtype=torch.bfloat16)
    assert weights.encoders is not None
    assert {parameter.dtype for parameter in weights.encoders.codec.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in weights.encoders.speaker.parameters()} == {torch.bfloat16}


def test_only_a_voice_clone_checkpoint_has_encoders(model_dir: Path) -> None:
    clone, custom = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base"), Weights.load(model_dir / CHECKPOINT)
    assert custom.encoders is None
    assert clone.encoders is not None


def test_missing_tensor_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["talker.model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UnreadableCheckpointError, match=r"no tensor talker\.model\.layers\.1\.mlp\.up_proj\.weight"):
        Weights.load(folder)


def test_unused_tensor_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"talker.model.layers.0.self_attn.q_proj.bias": torch.zeros(32)}, folder / "model.safetensors")
    with pytest.raises(UnreadableCheckpointError, match=r"q_proj\.bias"):
        Weights.load(folder)


@pytest.mark.parametrize(
    ("part", "values", "named"),
    [
        ("talker", {"hidden_act": "gelu"}, "hidden_act is gelu"),
        ("talker", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type is yarn"),
        ("code_predictor_config", {"use_sliding_window": True}, "use_sliding_window is True"),
    ],
)
def test_unsupported_config_value_is_rejected(folder: Path, part: str, values: dict[str, Any], named: str) -> None:
    change_config(folder, part, **values)
    with pytest.raises(UnreadableCheckpointError, match=named):
        Weights.load(folder)
