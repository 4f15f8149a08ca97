"""Zonos checkpoints with random weights: the backbone, the codec and the speaker network, in their published files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import DacConfig, DacModel

MODEL: Final = "Zonos-v0.1-transformer"
CODEC: Final = "dac_44khz"
SPEAKER: Final = "Zonos-v0.1-speaker-embedding"

_TOKENS, _CODEBOOKS, _CODES = 189, 9, 1024
_SPEAKER_WIDTH, _BANDS = 128, 80


@dataclass(frozen=True)
class ZonosShape:
    """The sizes of the backbone and of the other networks."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    codec: Mapping[str, int]
    """Arguments of `DacConfig`."""
    planes: int
    """Channels of the first stage of the speaker network."""
    blocks: tuple[int, int, int, int]


TINY: Final = ZonosShape(
    64,
    128,
    2,
    4,
    2,
    {"encoder_hidden_size": 8, "decoder_hidden_size": 32, "hidden_size": 64},
    planes=4,
    blocks=(1, 2, 1, 1),
)
FULL: Final = ZonosShape(2048, 8192, 26, 16, 4, {}, planes=64, blocks=(10, 20, 64, 3))

ZONOS_SHAPES: Final = {"tiny": TINY, "full": FULL}


def write_zonos_checkpoint(folder: Path, shape: ZonosShape = TINY, *, seed: int = 0) -> None:
    """Write the three published folders into `folder`, which is created."""
    torch.manual_seed(seed)
    model = folder / MODEL
    model.mkdir(parents=True, exist_ok=True)
    (model / "config.json").write_text(json.dumps(zonos_config(shape), indent=2), encoding="utf-8")
    save_file(dict(_backbone(shape)), model / "model.safetensors", metadata={"format": "pt"})
    codec = DacConfig(sampling_rate=44_100, codebook_dim=8, **shape.codec)
    DacModel(codec).save_pretrained(folder / CODEC)
    speaker = folder / SPEAKER
    speaker.mkdir(parents=True, exist_ok=True)
    torch.save(dict(_speaker(shape)), speaker / "ResNet293_SimAM_ASP_base.pt")
    projection = {"weight": torch.randn(_SPEAKER_WIDTH, 256) * 0.1, "bias": torch.randn(_SPEAKER_WIDTH)}
    torch.save(projection, speaker / "ResNet293_SimAM_ASP_base_LDA-128.pt")


def zonos_config(shape: ZonosShape) -> dict[str, Any]:
    """Return the config.json of a backbone."""
    learned = {"uncond_type": "learned"}
    fourier = {**learned, "type": "FourierConditioner"}
    return {
        "backbone": {
            "d_model": shape.hidden,
            "d_intermediate": 0,
            "attn_mlp_d_intermediate": shape.intermediate,
            "n_layer": shape.layers,
            "ssm_cfg": {},
            "attn_layer_idx": list(range(shape.layers)),
            "attn_cfg": {
                "causal": True,
                "num_heads": shape.heads,
                "num_heads_kv": shape.key_value_heads,
                "rotary_emb_dim": shape.hidden // shape.heads,
                "qkv_proj_bias": False,
                "out_proj_bias": False,
            },
            "rms_norm": False,
            "residual_in_fp32": False,
            "norm_epsilon": 1e-5,
        },
        "prefix_conditioner": {
            "conditioners": [
                {"type": "EspeakPhonemeConditioner", "name": "espeak"},
                {
                    "type": "PassthroughConditioner",
                    "name": "speaker",
                    "cond_dim": 128,
                    "projection": "linear",
                    **learned,
                },
                {"name": "emotion", "input_dim": 8, **fourier},
                {"name": "fmax", "min_val": 0, "max_val": 24_000, **fourier},
                {"name": "pitch_std", "min_val": 0, "max_val": 400, **fourier},
                {"name": "speaking_rate", "min_val": 0, "max_val": 40, **fourier},
                {"type": "IntegerConditioner", "name": "language_id", "min_val": -1, "max_val": 126, **learned},
            ],
            "projection": "linear",
        },
        "eos_token_id": 1024,
        "masked_token_id": 1025,
    }


def _backbone(shape: ZonosShape) -> Iterator[tuple[str, Tensor]]:
    hidden, dim = shape.hidden, shape.hidden // shape.heads

    def matrix(*sizes: int) -> Tensor:
        return torch.randn(sizes) / sizes[-1] ** 0.5

    def norm(name: str) -> Iterator[tuple[str, Tensor]]:
        yield f"{name}.weight", 1 + 0.1 * torch.randn(hidden)
        yield f"{name}.bias", 0.1 * torch.randn(hidden)

    for number in range(shape.layers):
        layer = f"backbone.layers.{number}"
        yield from norm(f"{layer}.norm")
        yield f"{layer}.mixer.in_proj.weight", matrix((shape.heads + 2 * shape.key_value_heads) * dim, hidden)
        yield f"{layer}.mixer.out_proj.weight", matrix(hidden, hidden)
        yield from norm(f"{layer}.norm2")
        yield f"{layer}.mlp.fc1.weight", matrix(2 * shape.intermediate, hidden)
        yield f"{layer}.mlp.fc2.weight", matrix(hidden, shape.intermediate)
    yield from norm("backbone.norm_f")
    for book in range(_CODEBOOKS):
        yield f"embeddings.{book}.weight", torch.randn(_CODES + 2, hidden) * 0.3
        yield f"heads.{book}.weight", 2 * matrix(_CODES + 1, hidden)
    prefix = "prefix_conditioner"
    for number, entry in enumerate(zonos_config(shape)["prefix_conditioner"]["conditioners"]):
        name = f"{prefix}.conditioners.{number}"
        match entry["type"]:
            case "EspeakPhonemeConditioner":
                yield f"{name}.phoneme_embedder.weight", torch.randn(_TOKENS, hidden)
            case "PassthroughConditioner":
                yield f"{name}.project.weight", matrix(hidden, entry["cond_dim"])
                yield f"{name}.project.bias", torch.randn(hidden)
            case "FourierConditioner":
                yield f"{name}.weight", torch.randn(hidden // 2, entry.get("input_dim", 1))
            case "IntegerConditioner":
                yield f"{name}.int_embedder.weight", torch.randn(entry["max_val"] - entry["min_val"] + 1, hidden)
        if entry.get("uncond_type") == "learned":
            yield f"{name}.uncond_vector", torch.randn(hidden)
    yield f"{prefix}.project.weight", matrix(hidden, hidden)
    yield f"{prefix}.project.bias", torch.randn(hidden)
    yield from norm(f"{prefix}.norm")


def _speaker(shape: ZonosShape) -> Iterator[tuple[str, Tensor]]:
    def convolution(name: str, norm: str, outputs: int, inputs: int, size: int) -> Iterator[tuple[str, Tensor]]:
        yield f"{name}.weight", torch.randn(outputs, inputs, size, size) * (2 / (inputs * size * size)) ** 0.5
        yield from batch_norm(norm, outputs)

    def batch_norm(name: str, width: int) -> Iterator[tuple[str, Tensor]]:
        yield f"{name}.weight", 1 + 0.1 * torch.randn(width)
        yield f"{name}.bias", 0.1 * torch.randn(width)
        yield f"{name}.running_mean", 0.1 * torch.randn(width)
        yield f"{name}.running_var", 1 + 0.1 * torch.rand(width)
        yield f"{name}.num_batches_tracked", torch.tensor(1)

    planes = shape.planes
    yield from convolution("front.conv1", "front.bn1", planes, 1, 3)
    for stage, blocks in enumerate(shape.blocks, 1):
        outputs = shape.planes * 2 ** (stage - 1)
        for number in range(blocks):
            block = f"front.layer{stage}.{number}"
            yield from convolution(f"{block}.conv1", f"{block}.bn1", outputs, planes, 3)
            yield from convolution(f"{block}.conv2", f"{block}.bn2", outputs, outputs, 3)
            if planes != outputs:
                yield from convolution(f"{block}.downsample.0", f"{block}.downsample.1", outputs, planes, 1)
            planes = outputs
    pooled = planes * _BANDS // 8
    yield "pooling.attention.0.weight", torch.randn(128, pooled, 1) / pooled**0.5
    yield "pooling.attention.0.bias", torch.randn(128)
    yield from batch_norm("pooling.attention.2", 128)
    yield "pooling.attention.3.weight", torch.randn(pooled, 128, 1) / 128**0.5
    yield "pooling.attention.3.bias", torch.randn(pooled)
    yield "bottleneck.weight", torch.randn(256, 2 * pooled) / pooled**0.5
    yield "bottleneck.bias", torch.randn(256)
