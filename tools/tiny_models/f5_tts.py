"""F5-TTS checkpoints with random weights, in the files of the published one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import nn

F5_CHECKPOINTS = ("F5TTS_v1_Base",)


@dataclass(frozen=True)
class F5Shape:
    """The sizes of a checkpoint."""

    transformer: dict[str, int]
    """Arguments of `DiT` beside those of the published checkpoint."""
    vocoder_dim: int
    vocoder_layers: int


F5_SHAPES = {
    "tiny": F5Shape(dict(dim=64, depth=2, heads=2, text_dim=32, conv_layers=2), 32, 2),
    "thin": F5Shape(dict(dim=128, depth=22, heads=2, text_dim=64), 64, 8),
    "full": F5Shape({}, 512, 8),
}


def write_f5_checkpoint(folder: Path, shape: F5Shape, *, device: str = "cpu") -> None:
    """Write a checkpoint into `folder`, and its vocoder beside it. The same shape always gives the same weights."""
    from adapters.f5_tts.checkpoint import VOCODER  # noqa: PLC0415 - its imports take seconds, of other checkpoints too
    from adapters.f5_tts.package import DATA, DiT  # noqa: PLC0415
    from adapters.f5_tts.spectrogram import MELS  # noqa: PLC0415

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((DATA / "configs" / "F5TTS_v1_Base.yaml").read_text(encoding="utf-8"))
    config["model"]["arch"].update(shape.transformer)
    vocabulary = DATA / "infer" / "examples" / "vocab.txt"
    shutil.copyfile(vocabulary, folder / "vocab.txt")
    tokens = vocabulary.read_text(encoding="utf-8").count("\n")
    with torch.device(device):
        network = DiT(**config["model"]["arch"], text_num_embeds=tokens, mel_dim=MELS)
    for parameter in network.parameters():
        if parameter.ndim and not parameter.any():  # the package begins its training with outputs of zero
            nn.init.normal_(parameter, std=0.05)
    tensors = {f"ema_model.transformer.{name}": each.contiguous().cpu() for name, each in network.state_dict().items()}
    save_file({**tensors, "initted": torch.tensor(True), "step": torch.tensor(0)}, folder / "model.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"arch": config["model"]["arch"]}}))
    _write_vocoder(folder.parent / VOCODER, shape)


def _write_vocoder(folder: Path, shape: F5Shape) -> None:
    from adapters.f5_tts.package import ISTFTHead, VocosBackbone  # noqa: PLC0415
    from adapters.f5_tts.spectrogram import HOP, MELS, WINDOW  # noqa: PLC0415

    folder.mkdir(exist_ok=True)
    backbone: dict[str, Any] = dict(
        input_channels=MELS,
        dim=shape.vocoder_dim,
        intermediate_dim=3 * shape.vocoder_dim,
        num_layers=shape.vocoder_layers,
    )
    head: dict[str, Any] = dict(dim=shape.vocoder_dim, n_fft=WINDOW, hop_length=HOP, padding="center")
    parts: dict[str, nn.Module] = {"backbone": VocosBackbone(**backbone), "head": ISTFTHead(**head)}
    arguments = {"backbone": backbone, "head": head}
    config = {name: {"init_args": values} for name, values in arguments.items()}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(
        {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()},
        folder / "pytorch_model.bin",
    )
