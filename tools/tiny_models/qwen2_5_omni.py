"""Qwen2.5-Omni checkpoints with random weights, plain or quantised with AWQ, in the files that the published ones have.

The thinker is complete except for its vision, of which, as of talker and vocoder, only a tensor is there: nothing may
read it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Qwen2_5OmniThinkerForConditionalGeneration
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniThinkerConfig

from tools.tiny_models.tokenizer import TextTokenizer, write_tokenizer

_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|vision_pad|>",
    "<|IMAGE|>",
    "<|VIDEO|>",
)
_UNREAD = ("thinker.visual.unread.weight", "talker.codec_head.weight", "token2wav.code2wav_dit.proj.weight")
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


@dataclass(frozen=True)
class OmniShape:
    """The sizes of a thinker."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    encoder_width: int
    encoder_layers: int
    group_size: int = 128
    """Of the AWQ checkpoint."""


TINY = OmniShape(128, 256, 2, 4, 2, encoder_width=32, encoder_layers=2, group_size=32)
THIN = OmniShape(256, 512, 28, 4, 2, encoder_width=32, encoder_layers=32)
"""As many layers as the real one, but narrow: its speed is that of the steps around the products."""

OMNI_SHAPES: Mapping[str, OmniShape] = {"tiny": TINY, "thin": THIN}
OMNI_CHECKPOINTS: Mapping[str, bool] = {"Qwen2.5-Omni-7B": False, "Qwen2.5-Omni-7B-AWQ": True}
"""The published folders; whether the checkpoint is quantised."""


def write_omni_checkpoint(folder: Path, shape: OmniShape = TINY, *, awq: bool = False, seed: int = 0) -> None:
    """Write a checkpoint into `folder`, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(folder, _SPECIAL_TOKENS, "Qwen2_5OmniProcessor")
    thinker = _thinker_config(shape, tokenizer)
    config = {
        "architectures": ["Qwen2_5OmniModel"],
        "model_type": "qwen2_5_omni",
        "enable_talker": True,
        "thinker_config": thinker,
        "talker_config": {"model_type": "qwen2_5_omni_talker"},
        "token2wav_config": {"model_type": "qwen2_5_omni_token2wav"},
    }
    if awq:
        config["quantization_config"] = {
            "bits": 4,
            "group_size": shape.group_size,
            "modules_to_not_convert": ["visual"],
            "quant_method": "awq",
            "version": "gemm",
            "zero_point": True,
        }
    _write(folder / "config.json", config)
    _write(
        folder / "preprocessor_config.json",
        {
            "chunk_length": 300,
            "dither": 0.0,
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": 128,
            "hop_length": 160,
            "n_fft": 400,
            "n_samples": 4_800_000,
            "nb_max_frames": 30_000,
            "padding_side": "right",
            "padding_value": 0.0,
            "processor_class": "Qwen2_5OmniProcessor",
            "return_attention_mask": True,
            "sampling_rate": 16_000,
        },
    )
    tensors = dict(_tensors(random_thinker(thinker, seed), shape.group_size if awq else 0))
    tensors |= {name: torch.zeros(8, 8, dtype=torch.float16) for name in _UNREAD}
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def random_thinker(config: Mapping[str, Any], seed: int) -> nn.Module:
    """Return the package's thinker with random weights that keep the size of what passes through them."""
    torch.manual_seed(seed)
    model: nn.Module = Qwen2_5OmniThinkerForConditionalGeneration(
        Qwen2_5OmniThinkerConfig(**json.loads(json.dumps(config)))
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_tokens" in name:
                weight.normal_()
            elif weight.dim() > 1:
                weight.normal_(0, 1 / math.sqrt(weight[0].numel()))
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
    return model.eval()


def _tensors(model: nn.Module, group_size: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the checkpoint's tensors; with a group size the decoder's matrices are quantised."""
    for name, weight in model.state_dict().items():
        if name.startswith("visual."):
            continue
        if group_size and name.startswith("model.layers.") and name.endswith("proj.weight"):
            stem = name.removesuffix("weight")
            yield from ((f"thinker.{stem}{kind}", tensor) for kind, tensor in awq_pack(weight, group_size).items())
        else:
            yield f"thinker.{name}", weight.to(torch.float16)


def awq_pack(matrix: Tensor, group_size: int) -> dict[str, Tensor]:
    """Return AWQ's tensors of a matrix (outputs, inputs), in 4 bits."""
    outputs, inputs = matrix.shape
    groups = matrix.float().t().reshape(inputs // group_size, group_size, outputs)
    low, high = groups.amin(1, keepdim=True).clamp(max=0), groups.amax(1, keepdim=True).clamp(min=0)
    scales = ((high - low) / 15).clamp(min=1e-5).half().float()
    zeros = (-low / scales).round().clamp(0, 15)
    codes = (groups / scales + zeros).round().clamp(0, 15)
    return {
        "qweight": _packed(codes.reshape(inputs, outputs)),
        "qzeros": _packed(zeros.reshape(-1, outputs)),
        "scales": scales.reshape(-1, outputs).half(),
    }


def _packed(codes: Tensor) -> Tensor:
    """Pack eight numbers of 0 to 15 into one of 32 bits."""
    eights = codes.to(torch.int64).reshape(codes.shape[0], -1, 8)
    packed = sum(eights[:, :, output] << 4 * place for place, output in enumerate(_AWQ_ORDER))
    assert isinstance(packed, Tensor)
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)


def _thinker_config(shape: OmniShape, tokenizer: TextTokenizer) -> dict[str, Any]:
    ids = tokenizer.ids
    rotated = shape.hidden // shape.heads // 2
    return {
        "model_type": "qwen2_5_omni_thinker",
        "audio_token_index": ids["<|AUDIO|>"],
        "image_token_index": ids["<|IMAGE|>"],
        "video_token_index": ids["<|VIDEO|>"],
        "audio_start_token_id": ids["<|audio_bos|>"],
        "audio_end_token_id": ids["<|audio_eos|>"],
        "vision_start_token_id": ids["<|vision_bos|>"],
        "vision_end_token_id": ids["<|vision_eos|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
        "audio_config": {
            "model_type": "qwen2_5_omni_audio_encoder",
            "d_model": shape.encoder_width,
            "encoder_layers": shape.encoder_layers,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 2 * shape.encoder_width,
            "num_mel_bins": 128,
            "n_window": 100,
            "output_dim": shape.hidden,
            "max_source_positions": 1500,
        },
        "vision_config": {
            "model_type": "qwen2_5_omni_vision_encoder",
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": shape.hidden,
            "patch_size": 14,
            "fullatt_block_indexes": [0],
            "window_size": 112,
        },
        "text_config": {
            "model_type": "qwen2_5_omni_text",
            "vocab_size": -(-tokenizer.size // 64) * 64,
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_value_heads,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000.0,
            "rope_scaling": {
                "mrope_section": [rotated // 4, rotated * 3 // 8, rotated * 3 // 8],
                "rope_type": "default",
                "type": "default",
            },
        },
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
