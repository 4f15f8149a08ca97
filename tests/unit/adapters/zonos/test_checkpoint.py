"""Checkpoints: a clear error for every tensor that is missing, unknown or of a wrong shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.zonos.checkpoint import UnreadableCheckpointError
from adapters.zonos.codec import Codec
from adapters.zonos.loading import CODEC_FOLDER, SPEAKER_FOLDER
from adapters.zonos.speaker import FILES, SpeakerEncoder
from adapters.zonos.weights import Weights
from tools.tiny_models.zonos import MODEL

CPU = torch.device("cpu")
Change = Callable[[dict[str, Any]], object]


def load(folder: Path) -> Weights:
    return Weights.load(folder, CPU, torch.float32)


@pytest.fixture
def copy(models: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder."""
    return Path(shutil.copytree(models / MODEL, tmp_path / MODEL))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("heads.8.weight"), "has no tensor heads.8.weight"),
        (lambda tensors: tensors.pop("backbone.layers.1.norm2.bias"), "has no tensor backbone.layers.1.norm2.bias"),
        (lambda tensors: tensors.pop("prefix_conditioner.conditioners.2.weight"), "conditioners.2.weight"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "has 1 unknown tensors: extra"),
        (lambda tensors: tensors.update({"embeddings.0.weight": torch.zeros(1024, 64)}), r"\(1024, 64\), not \(1026,"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    copy: Path, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(UnreadableCheckpointError, match=message):
        load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["backbone"].update(ssm_cfg={"layer": "Mamba2"}), "is of a hybrid model"),
        (lambda config: config["backbone"].update(rms_norm=True), "rms_norm is True; only False"),
        (lambda config: config["backbone"]["attn_cfg"].update(rotary_emb_dim=8), "rotary_emb_dim is 8; only 16"),
        (lambda config: config["backbone"].pop("d_model"), "is not of a Zonos model: KeyError"),
        (lambda config: config["prefix_conditioner"]["conditioners"].pop(0), "has [0-9]+ unknown|has no tensor|text"),
        (lambda config: config["prefix_conditioner"]["conditioners"][2].update(name="mood"), "'mood' is unknown"),
        (lambda config: config["prefix_conditioner"].update(projection="conv"), "projection 'conv' is unknown"),
    ],
)
def test_configurations_that_are_not_supported_are_named(copy: Path, change: Change, message: str) -> None:
    config = json.loads((copy / "config.json").read_text())
    change(config)
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnreadableCheckpointError, match=message):
        load(copy)


def test_a_file_that_is_cut_is_named(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UnreadableCheckpointError, match=r"model\.safetensors cannot be read"):
        load(copy)
    with pytest.raises(UnreadableCheckpointError, match=r"config\.json cannot be read"):
        load(copy / "none")


def test_a_codec_without_one_of_its_tensors_is_rejected(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / CODEC_FOLDER, tmp_path / "codec"))
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("decoder.conv1.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnreadableCheckpointError, match=r"missing keys: decoder\.conv1\.weight"):
        Codec.load(folder, CPU, torch.float32)


def test_a_speaker_network_without_one_of_its_tensors_is_rejected(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / SPEAKER_FOLDER, tmp_path / "speaker"))
    state = torch.load(folder / FILES[0], weights_only=True)
    torch.save({name: tensor for name, tensor in state.items() if name != "front.layer2.1.bn2.bias"}, folder / FILES[0])
    with pytest.raises(UnreadableCheckpointError, match=r"has no tensor front.layer2.1.bn2.bias"):
        SpeakerEncoder.load(folder, CPU)
    (folder / FILES[0]).write_bytes(b"not a state dict")
    with pytest.raises(UnreadableCheckpointError, match=f"{FILES[0]} cannot be read"):
        SpeakerEncoder.load(folder, CPU)
