"""The files of a checkpoint: the network, its vocabulary, and the vocoder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from adapters.f5_tts.package import DATA, DiT, ISTFTHead, VocosBackbone
from adapters.f5_tts.spectrogram import HOP, MELS, WINDOW
from adapters.inflight.cuda_streams import synchronize_stream

VOCODER: Final = "vocos-mel-24khz"
"""The folder of the vocoder, in that of the checkpoint or beside it."""
_DEFAULT_CONFIG: Final = DATA / "configs" / "F5TTS_v1_Base.yaml"
_AVERAGED: Final = "ema_model."
"""The prefix of the averaged weights, which speech is synthesized with."""
_NO_WEIGHTS: Final = ("initted", "step", "update", "mel_spec.")
"""Names, or beginnings of names, of tensors that a published file has beside the network's."""


class UnreadableCheckpointError(Exception):
    """The files are not those of an F5-TTS model, or are not complete."""


@dataclass(frozen=True)
class Networks:
    """The networks of a checkpoint, in evaluation mode."""

    transformer: DiT
    vocoder: Vocoder
    vocabulary: Mapping[str, int]
    """Token -> its index."""


class Vocoder:
    """Vocos: mel spectrograms to samples."""

    def __init__(self, backbone: VocosBackbone, head: ISTFTHead) -> None:
        self._backbone = backbone
        self._head = head

    def decode(self, mel: Tensor) -> Tensor:
        """Return samples (frames * HOP - HOP,) of a spectrogram (frames, MELS), float32 both."""
        wave: Tensor = self._head(self._backbone(mel.T[None]))[0]
        return wave


def load_networks(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Read a checkpoint; the vocoder is always float32. Raises `UnreadableCheckpointError`."""
    vocabulary = _vocabulary(folder / "vocab.txt")
    arch = _arch(folder / "config.yaml")
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # of the memory that `attn_mask_enabled` takes
        transformer = DiT(**arch, text_num_embeds=len(vocabulary), mel_dim=MELS)
    # The buffers are computed: a network made on `meta` has them without values, and not every file holds them.
    fresh = DiT(**{**arch, "depth": 0}, text_num_embeds=1, mel_dim=MELS)
    computed = {name: each for name, each in fresh.state_dict().items() if name in dict(fresh.named_buffers())}
    _fill(transformer, _transformer_tensors(folder) | computed, folder)
    _fill_buffers(transformer, fresh, folder)
    transformer.to(device, dtype).eval()
    transformer.rotary_embed = fresh.rotary_embed.to(device)  # float32: 16 bits cannot tell late positions apart
    vocoder = _vocoder(folder, device)
    synchronize_stream(device)  # the threads of the engine have streams of their own
    return Networks(transformer, vocoder, vocabulary)


def _vocabulary(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableCheckpointError(f"{path} cannot be read: {error}") from None
    tokens = {token: index for index, token in enumerate(lines[:-1] if lines[-1] == "" else lines)}
    if tokens.get(" ") != 0:
        raise UnreadableCheckpointError(f"{path} does not begin with a space, the token for unknown characters")
    return tokens


def _arch(own: Path) -> dict[str, Any]:
    """Return the arguments of `DiT`: those of config.yaml if the folder has one, else of F5TTS_v1_Base."""
    path = own if own.exists() else _DEFAULT_CONFIG
    try:
        arch = dict(yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["arch"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UnreadableCheckpointError(f"{path} is not the configuration of an F5-TTS model: {error!r}") from None
    # With it, rows of a padded batch are what each is alone; it changes nothing for a row without padding.
    return arch | {"attn_mask_enabled": True, "attn_backend": "torch", "checkpoint_activations": False}


def _transformer_tensors(folder: Path) -> dict[str, Tensor]:
    files = [path for pattern in ("*.safetensors", "*.pt") for path in sorted(folder.glob(pattern))]
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "none"
        raise UnreadableCheckpointError(f"{folder} must hold one file *.safetensors or *.pt; found: {found}")
    tensors = _tensors(files[0])
    averaged = {name.removeprefix(_AVERAGED): tensor for name, tensor in tensors.items() if name.startswith(_AVERAGED)}
    kept = {name: tensor for name, tensor in (averaged or tensors).items() if not name.startswith(_NO_WEIGHTS)}
    return {name.removeprefix("transformer."): tensor for name, tensor in kept.items()}


def _tensors(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        for part in ("ema_model_state_dict", "model_state_dict"):
            state = state.get(part, state)
        return dict(state)
    except Exception as error:
        raise UnreadableCheckpointError(f"{path} cannot be read: {error}") from None


def _vocoder(folder: Path, device: torch.device) -> Vocoder:
    place = next((path for path in (folder / VOCODER, folder.parent / VOCODER) if path.is_dir()), None)
    if place is None:
        raise UnreadableCheckpointError(f"there is no folder {VOCODER} in {folder} or beside it")
    try:
        config = yaml.safe_load((place / "config.yaml").read_text(encoding="utf-8"))
        backbone, head = (config[part]["init_args"] for part in ("backbone", "head"))
        known = (backbone["input_channels"], head["n_fft"], head["hop_length"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UnreadableCheckpointError(f"{place / 'config.yaml'} is not one of Vocos: {error!r}") from None
    if known != (MELS, WINDOW, HOP):
        raise UnreadableCheckpointError(f"{place} is not a Vocos for mel spectrograms at 24 kHz: {known}")
    tensors = _tensors(place / "pytorch_model.bin")
    parts: dict[str, nn.Module] = {"backbone": VocosBackbone(**backbone), "head": ISTFTHead(**head)}
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        _fill(part, own, place)
        part.to(device, torch.float32).eval()
    return Vocoder(parts["backbone"], parts["head"])


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Give a network its weights; raises for one that is missing, unknown, of another shape, or not finite."""
    try:
        network.load_state_dict(dict(tensors), strict=True, assign=True)
    except RuntimeError as error:
        raise UnreadableCheckpointError(f"{folder}: {error}") from None
    for name, tensor in network.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise UnreadableCheckpointError(f"{folder}: the weights {name} hold NaN or infinite numbers")


def _fill_buffers(network: nn.Module, fresh: nn.Module, folder: Path) -> None:
    """Give a network the buffers that are computed, from one of the same shape."""
    computed = dict(fresh.named_buffers())
    for name, buffer in list(network.named_buffers()):
        if buffer.is_meta:
            if name not in computed:
                raise UnreadableCheckpointError(f"{folder}: the buffer {name} has no values")
            owner, _, key = name.rpartition(".")
            network.get_submodule(owner).register_buffer(key, computed[name], persistent=False)
