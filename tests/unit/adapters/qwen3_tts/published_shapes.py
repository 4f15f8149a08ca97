"""Checkpoints of the published shapes without numbers, on the device `meta` or on a pretended GPU of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.model import weights
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.package import core
from tools.tiny_models.config import codec_config, make_config
from tools.tiny_models.qwen3_tts import skeleton
from tools.tiny_models.shapes import SHAPES, Parameters
from tools.tiny_models.tokenizer import write_tokenizer


def published_weights(folder: Path, size: Parameters, device: str = "meta") -> Weights:
    """Return the weights of CustomVoice in bfloat16; `folder` gets its other files."""
    config = make_config("custom_voice", SHAPES["full"][size], write_tokenizer(folder))
    tensors = {name: weight.to(torch.bfloat16) for name, weight in skeleton(config).named_parameters()}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text("{}")
    (folder / "model.safetensors").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load_file", lambda _, device: {name: each.to(device) for name, each in tensors.items()})
        return Weights.load(folder, device, torch.bfloat16)


def published_codec(size: Parameters, device: str = "meta") -> CodecWeights:
    """Return the weights of the codec's decoder in float32."""
    config = codec_config(SHAPES["full"][size].codec)
    with torch.device("meta"):
        model = core.Qwen3TTSTokenizerV2Model(core.Qwen3TTSTokenizerV2Config(**config))
    tensors = {name: tensor.to(device) for name, tensor in model.decoder.state_dict().items()}
    return CodecWeights(tensors, config["decoder_config"])
