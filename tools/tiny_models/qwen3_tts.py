"""Qwen3-TTS checkpoints with random weights, in the files that the published ones have."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from adapters.qwen3_tts.package import core
from tools.tiny_models.config import SAMPLING, Kind, codec_config, make_config
from tools.tiny_models.files import write_safetensors
from tools.tiny_models.shapes import CodecShape, Parameters, Shape
from tools.tiny_models.tokenizer import write_tokenizer

CHECKPOINTS: Mapping[str, tuple[Kind, Parameters]] = {
    "Qwen3-TTS-12Hz-0.6B-CustomVoice": ("custom_voice", "0.6B"),
    "Qwen3-TTS-12Hz-1.7B-CustomVoice": ("custom_voice", "1.7B"),
    "Qwen3-TTS-12Hz-1.7B-VoiceDesign": ("voice_design", "1.7B"),
    "Qwen3-TTS-12Hz-0.6B-Base": ("base", "0.6B"),
    "Qwen3-TTS-12Hz-1.7B-Base": ("base", "1.7B"),
}
"""The published folders; VoiceDesign exists in 1.7B alone."""
TOKENIZER = "Qwen3-TTS-Tokenizer-12Hz"


def write_checkpoint(
    folder: Path, kind: Kind, shape: Shape, *, seed: int = 0, device: str = "cpu", endless: bool = False
) -> None:
    """Write a checkpoint of `kind` into `folder`, which is created; its weights are drawn on `device`.

    `endless`: the end token scores 0, and so is never among the `top_k` codes that the sampler draws from. Each
    utterance then has as many frames as its request allows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = make_config(kind, shape, write_tokenizer(folder))
    _write(folder / "config.json", config)
    top_k = min(SAMPLING["top_k"], shape.codec.codes // 8) if endless else SAMPLING["top_k"]
    _write(folder / "generation_config.json", {**SAMPLING, "top_k": top_k})
    _write(
        folder / "preprocessor_config.json",
        {
            "padding_side": "left",
            "padding_value": 0.0,
            "processor_class": "Qwen3TTSProcessor",
            "return_attention_mask": True,
        },
    )
    end = config["talker_config"]["codec_eos_token_id"] if endless else None
    weights = dict(skeleton(config).named_parameters())
    write_safetensors(
        folder / "model.safetensors",
        {name: tuple(weight.shape) for name, weight in weights.items()},
        getattr(torch, shape.dtype),
        _drawn(weights, torch.Generator(device).manual_seed(seed), end),
    )
    write_speech_tokenizer(folder / "speech_tokenizer", shape.codec, seed=seed)


def write_speech_tokenizer(folder: Path, codec: CodecShape, *, seed: int = 0) -> None:
    """Write the codec alone into `folder`, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", codec_config(codec))
    _write(folder / "configuration.json", {"framework": "pytorch", "task": "text-to-speech"})
    _write(
        folder / "preprocessor_config.json",
        {
            "chunk_length_s": None,
            "feature_extractor_type": "EncodecFeatureExtractor",
            "feature_size": 1,
            "overlap": None,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
            "sampling_rate": 24_000,
        },
    )
    save_file(_codec_weights(codec, seed), folder / "model.safetensors", metadata={"format": "pt"})


@lru_cache(maxsize=1)  # all checkpoints of a size have the same codec
def _codec_weights(codec: CodecShape, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = core.Qwen3TTSTokenizerV2Model(core.Qwen3TTSTokenizerV2Config(**codec_config(codec))).float().eval()
    _randomise(model, generator)
    _level(model, torch.randint(0, codec.codes, (1, 16, 12), generator=generator))
    return dict(model.state_dict())


def skeleton(config: dict[str, Any]) -> nn.Module:
    """The package's model of a config.json, on the meta device: shapes without weights."""
    with torch.device("meta"):
        return core.models.Qwen3TTSForConditionalGeneration(core.models.Qwen3TTSConfig(**config))


def _drawn(
    weights: Mapping[str, torch.Tensor], generator: torch.Generator, end: int | None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each weight's name and value, on the generator's device; the code `end` scores 0."""
    for name, weight in weights.items():
        value = _value(name, weight, generator)
        if name == "talker.codec_head.weight" and end is not None:
            value[end] = 0
        yield name, value


def _randomise(codec: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight, and the buffers that hold weights: not rotary frequencies and sizes."""
    drawn = ("embed", ".cluster_usage", ".initialized")
    buffers = [(name, buffer) for name, buffer in codec.named_buffers() if any(part in name for part in drawn)]
    with torch.no_grad():
        for name, weight in (*codec.named_parameters(), *buffers):
            weight.copy_(_value(name, weight, generator))


def _value(name: str, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return numbers that keep the spread of a layer's inputs: N(0, 1 / fan in); embeddings and codebooks: N(0, 1)."""
    leaf, device = name.rpartition(".")[2], generator.device
    if leaf in ("cluster_usage", "initialized"):
        return torch.ones(weight.shape, device=device)
    if "embed" in name:
        return torch.randn(weight.shape, generator=generator, device=device)
    if leaf in ("alpha", "beta"):
        return torch.zeros(weight.shape, device=device)
    if leaf in ("scale", "gamma"):
        return torch.full(weight.shape, 0.1, device=device)
    if weight.dim() == 1:
        return torch.full(weight.shape, float(leaf == "weight"), device=device)
    return torch.randn(weight.shape, generator=generator, device=device) / math.sqrt(weight[0].numel())


def _level(codec: nn.Module, codes: torch.Tensor) -> None:
    """Scale the last convolution until the audio has the mean level of speech, and does not clip."""
    last = codec.decoder.decoder[-1].conv
    with torch.no_grad():
        for _ in range(3):  # clipped samples hide the true level, so one step is not enough
            last.weight.mul_(0.1 / codec.decoder(codes).abs().mean())


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
