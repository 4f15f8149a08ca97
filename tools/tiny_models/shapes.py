"""Sizes of the parts of a Qwen3-TTS checkpoint: published, narrow, and tiny."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Parameters = Literal["0.6B", "1.7B"]


@dataclass(frozen=True)
class DecoderShape:
    """A stack of decoder layers."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int

    def config(self) -> dict[str, Any]:
        """Its part of a config.json."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_dim,
        }


@dataclass(frozen=True, eq=False)
class CodecShape:
    """The speech tokenizer, equal only to itself; every one has 16 codebooks and 1920 samples a frame."""

    codes: int
    """Entries of a codebook."""
    encoder: Mapping[str, Any]
    decoder: Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """A whole checkpoint."""

    talker: DecoderShape
    predictor: DecoderShape
    """The code predictor; where the talker is as wide, no projection stands between them, as in the real 0.6B."""
    text_hidden: int
    text_vocabulary: int | None
    """None: as many tokens as the tokenizer has."""
    mrope_section: tuple[int, int, int]
    speaker_encoder: Mapping[str, Any]
    codec: CodecShape
    dtype: Literal["float32", "bfloat16"]


_TINY_CODEC = CodecShape(
    codes=64,
    encoder={
        "num_filters": 4,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 32,
        "codebook_dim": 8,
        "vector_quantization_hidden_dimension": 8,
    },
    decoder={
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 32,
        "codebook_dim": 16,
        "latent_dim": 16,
        "decoder_dim": 32,
    },
)
_FULL_CODEC = CodecShape(
    codes=2048,
    encoder={
        "num_filters": 64,
        "hidden_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "intermediate_size": 2048,
        "codebook_dim": 256,
        "vector_quantization_hidden_dimension": 256,
    },
    decoder={
        "hidden_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 64,
        "intermediate_size": 1024,
        "codebook_dim": 512,
        "latent_dim": 1024,
        "decoder_dim": 1536,
    },
)
_TINY_SPEAKER_ENCODER = {
    "enc_channels": [16, 16, 16, 16, 48],
    "enc_attention_channels": 8,
    "enc_res2net_scale": 4,
    "enc_se_channels": 8,
}

_TINY = Shape(
    talker=DecoderShape(hidden=16, intermediate=32, layers=2, heads=2, key_value_heads=1, head_dim=16),
    predictor=DecoderShape(hidden=16, intermediate=32, layers=2, heads=2, key_value_heads=1, head_dim=16),
    text_hidden=16,
    text_vocabulary=None,
    mrope_section=(4, 2, 2),
    speaker_encoder=_TINY_SPEAKER_ENCODER,
    codec=_TINY_CODEC,
    dtype="float32",
)
_THIN = replace(_TINY, talker=replace(_TINY.talker, layers=28), predictor=replace(_TINY.predictor, layers=5))
_FULL = Shape(
    talker=DecoderShape(hidden=1024, intermediate=3072, layers=28, heads=16, key_value_heads=8, head_dim=128),
    predictor=DecoderShape(hidden=1024, intermediate=3072, layers=5, heads=16, key_value_heads=8, head_dim=128),
    text_hidden=2048,
    text_vocabulary=151_936,
    mrope_section=(24, 20, 20),
    speaker_encoder={},
    codec=_FULL_CODEC,
    dtype="bfloat16",
)


def _wide(shape: Shape) -> Shape:
    """The 1.7B of a family: a talker twice as wide, and the predictor as it was."""
    talker = replace(shape.talker, hidden=shape.talker.hidden * 2, intermediate=shape.talker.intermediate * 2)
    return replace(shape, talker=talker)


SHAPES: Mapping[str, Mapping[Parameters, Shape]] = {
    size: {"0.6B": shape, "1.7B": _wide(shape)} for size, shape in {"tiny": _TINY, "thin": _THIN, "full": _FULL}.items()
}
