"""The files of a checkpoint: those that are missing, wrong or incomplete stop the load, with their names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from adapters.f5_tts.checkpoint import Networks, UnreadableCheckpointError, load_networks

CPU = torch.device("cpu")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    shutil.copytree(folder.parent, tmp_path / "models")
    return tmp_path / "models" / folder.name


def change(path: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def test_all_weights_and_buffers_have_values(networks: Networks, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    parameters = dict(networks.transformer.named_parameters())
    assert parameters.keys() <= {name.removeprefix("ema_model.transformer.") for name in tensors}
    for name, parameter in parameters.items():
        assert torch.equal(parameter, tensors[f"ema_model.transformer.{name}"])
    assert not any(buffer.is_meta for buffer in networks.transformer.buffers())
    assert networks.vocabulary[" "] == 0


def test_weights_of_the_older_format_are_the_same(networks: Networks, copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save({"ema_model_state_dict": tensors}, copy / "model_1250000.pt")
    again = load_networks(copy, CPU, torch.float32)
    for one, other in zip(networks.transformer.parameters(), again.transformer.parameters(), strict=True):
        assert torch.equal(one, other)


def test_file_without_the_rotary_frequencies_is_complete(networks: Networks, copy: Path) -> None:
    name = "transformer.rotary_embed.inv_freq"
    change(copy / "model.safetensors", lambda tensors: tensors.pop(f"ema_model.{name}"))
    frequencies = load_networks(copy, CPU, torch.float32).transformer.rotary_embed.inv_freq
    assert torch.equal(frequencies, networks.transformer.rotary_embed.inv_freq)


def test_positions_stay_exact_in_16_bits(networks: Networks, folder: Path) -> None:
    half = load_networks(folder, CPU, torch.bfloat16).transformer
    assert half.proj_out.weight.dtype == torch.bfloat16
    angles = half.rotary_embed.forward_from_seq_len(3000)[0]
    assert torch.equal(angles, networks.transformer.rotary_embed.forward_from_seq_len(3000)[0])


def test_vocoder_in_the_folder_of_the_checkpoint_is_found(copy: Path) -> None:
    (copy.parent / "vocos-mel-24khz").rename(copy / "vocos-mel-24khz")
    load_networks(copy, CPU, torch.float32)


NAME = "ema_model.transformer.proj_out.weight"


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda tensors: tensors.pop(NAME), 'Missing key.*"proj_out.weight"'),
        (lambda tensors: tensors.update({"ema_model.transformer.extra": torch.zeros(1)}), "Unexpected key.*extra"),
        (lambda tensors: tensors.update({NAME: torch.zeros(100, 65)}), "size mismatch for proj_out.weight"),
        (lambda tensors: tensors[NAME].fill_(float("nan")), "proj_out.weight hold NaN"),
    ],
    ids=["missing", "unknown", "another shape", "NaN"],
)
def test_wrong_weights_stop_the_load(copy: Path, edit: Callable[[dict[str, torch.Tensor]], None], problem: str) -> None:
    change(copy / "model.safetensors", edit)
    with pytest.raises(UnreadableCheckpointError, match=f"(?s)F5TTS_v1_Base.*{problem}"):
        load_networks(copy, CPU, torch.float32)


def test_missing_weight_of_the_vocoder_stops_the_load(copy: Path) -> None:
    path = copy.parent / "vocos-mel-24khz" / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True)
    del tensors["backbone.embed.weight"]
    torch.save(tensors, path)
    with pytest.raises(UnreadableCheckpointError, match=r'(?s)vocos-mel-24khz.*"embed.weight"'):
        load_networks(copy, CPU, torch.float32)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("vocab.txt", "vocab.txt cannot be read"),
        ("model.safetensors", r"must hold one file \*.safetensors or \*.pt; found: none"),
        ("../vocos-mel-24khz/config.yaml", "is not one of Vocos"),
        ("../vocos-mel-24khz/pytorch_model.bin", "cannot be read"),
    ],
)
def test_missing_file_is_named(copy: Path, name: str, problem: str) -> None:
    (copy / name).unlink()
    with pytest.raises(UnreadableCheckpointError, match=problem):
        load_networks(copy, CPU, torch.float32)


def test_missing_vocoder_is_told(copy: Path) -> None:
    shutil.rmtree(copy.parent / "vocos-mel-24khz")
    with pytest.raises(UnreadableCheckpointError, match=r"no folder vocos-mel-24khz in .* or beside it"):
        load_networks(copy, CPU, torch.float32)


def test_vocabulary_without_a_space_first_is_refused(copy: Path) -> None:
    (copy / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(UnreadableCheckpointError, match="does not begin with a space"):
        load_networks(copy, CPU, torch.float32)


def test_wrong_configuration_is_told(copy: Path) -> None:
    (copy / "config.yaml").write_text(yaml.safe_dump({"model": {}}))
    with pytest.raises(UnreadableCheckpointError, match=r"config\.yaml is not the configuration"):
        load_networks(copy, CPU, torch.float32)


def test_two_files_of_weights_are_refused(copy: Path) -> None:
    shutil.copyfile(copy / "model.safetensors", copy / "other.safetensors")
    with pytest.raises(UnreadableCheckpointError, match=r"found: model\.safetensors, other\.safetensors"):
        load_networks(copy, CPU, torch.float32)
