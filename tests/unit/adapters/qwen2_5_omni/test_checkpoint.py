"""Checkpoints: the thinker is read completely or not at all, and nothing else is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adapters.qwen2_5_omni.awq import AwqTensors, Int4Matrix
from adapters.qwen2_5_omni.checkpoint import UnreadableCheckpointError
from adapters.qwen2_5_omni.weights import Weights
from tools.tiny_models.qwen2_5_omni import awq_pack

Edit = Callable[[dict[str, torch.Tensor]], object]


def edited(folder: Path, target: Path, edit: Edit) -> Path:
    """Copy a checkpoint, with its tensors edited."""
    shutil.copytree(folder, target)
    tensors = load_file(target / "model.safetensors")
    edit(tensors)
    save_file(tensors, target / "model.safetensors")
    return target


@pytest.mark.parametrize(
    "name",
    [
        "thinker.lm_head.weight",
        "thinker.model.layers.1.self_attn.k_proj.bias",
        "thinker.audio_tower.conv2.weight",
        "thinker.audio_tower.layers.0.fc1.bias",
    ],
)
def test_missing_weight_is_named(plain: Path, tmp_path: Path, name: str) -> None:
    folder = edited(plain, tmp_path / "edited", lambda tensors: tensors.pop(name))
    with pytest.raises(UnreadableCheckpointError, match=name.rpartition("audio_tower.")[2]):
        Weights.load(folder)


def test_checkpoint_with_tied_embeddings_needs_no_head(plain: Path, tmp_path: Path) -> None:
    folder = edited(plain, tmp_path / "edited", lambda tensors: tensors.pop("thinker.lm_head.weight"))
    config = json.loads((folder / "config.json").read_text())
    config["thinker_config"]["text_config"]["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    weights = Weights.load(folder)
    assert weights.head is weights.embedding


@pytest.mark.parametrize("kind", ["qweight", "qzeros", "scales"])
def test_missing_part_of_a_quantised_weight_is_named(awq: Path, tmp_path: Path, kind: str) -> None:
    name = f"thinker.model.layers.0.mlp.up_proj.{kind}"
    folder = edited(awq, tmp_path / "edited", lambda tensors: tensors.pop(name))
    with pytest.raises(UnreadableCheckpointError, match="up_proj"):
        Weights.load(folder)


def test_unknown_weight_of_the_thinker_is_an_error(plain: Path, tmp_path: Path) -> None:
    folder = edited(plain, tmp_path / "edited", lambda tensors: tensors.update({"thinker.extra": torch.zeros(1)}))
    with pytest.raises(UnreadableCheckpointError, match=r"1 unknown tensors: thinker\.extra"):
        Weights.load(folder)


def test_quantised_weights_without_their_config_are_an_error(awq: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(awq, tmp_path / "edited")
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnreadableCheckpointError, match="no quantization_config"):
        Weights.load(folder)


@pytest.mark.parametrize(("key", "value"), [("bits", 8), ("version", "gemv"), ("quant_method", "gptq")])
def test_another_quantisation_is_refused_by_name(awq: Path, tmp_path: Path, key: str, value: object) -> None:
    folder = shutil.copytree(awq, tmp_path / "edited")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnreadableCheckpointError, match=f"quantization_config.{key} is {value!r}"):
        Weights.load(folder)


def test_weights_of_talker_and_vision_are_never_read(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.qwen2_5_omni import checkpoint

    read = []

    class Recording:
        def __init__(self, *arguments: object, **options: object) -> None:
            self._file = opened(*arguments, **options)

        def __enter__(self) -> Recording:
            self._file.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self._file.__exit__(*error)

        def keys(self) -> list[str]:
            return list(self._file.keys())

        def get_tensor(self, name: str) -> torch.Tensor:
            read.append(name)
            tensor: torch.Tensor = self._file.get_tensor(name)
            return tensor

    opened = safe_open
    monkeypatch.setattr(checkpoint, "safe_open", Recording)
    Weights.load(plain)
    assert len(read) == len(set(read)) > 20
    assert all(name.startswith("thinker.") and not name.startswith("thinker.visual") for name in read)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"thinker_config": {"text_config": 5}}'])
def test_config_of_another_model_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UnreadableCheckpointError, match=r"config\.json is not of a Qwen2\.5-Omni model"):
        Weights.load(tmp_path)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-3)])
def test_product_with_4_bit_weights_is_that_with_the_unpacked_ones(dtype: torch.dtype, most: float) -> None:
    generator = torch.Generator().manual_seed(0)
    packed = AwqTensors(**awq_pack(torch.randn(192, 256, generator=generator), 64), group_size=64)
    x = torch.randn(5, 256, generator=generator)
    expected = x @ packed.unpacked(torch.float32).t()
    found = Int4Matrix(packed, dtype)(x.to(dtype)).float()
    assert float((found - expected).norm() / expected.norm()) < most
