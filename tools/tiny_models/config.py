"""The config.json of Qwen3-TTS checkpoints and of their codec, as the published ones have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tools.tiny_models.shapes import CodecShape, Shape
from tools.tiny_models.tokenizer import TextTokenizer

Kind = Literal["custom_voice", "voice_design", "base"]

_FULL_CODES = 2048
"""Entries of a published codebook: the talker's other tokens come after them."""
_CONTROL = {
    "codec_pad_id": 2148,
    "codec_bos_id": 2149,
    "codec_eos_token_id": 2150,
    "codec_think_id": 2154,
    "codec_nothink_id": 2155,
    "codec_think_bos_id": 2156,
    "codec_think_eos_id": 2157,
}
_LANGUAGES = {
    "chinese": 2055,
    "english": 2050,
    "french": 2061,
    "german": 2053,
    "italian": 2070,
    "japanese": 2058,
    "korean": 2064,
    "portuguese": 2071,
    "russian": 2069,
    "spanish": 2054,
}
_DIALECTS = {"beijing_dialect": 2074, "sichuan_dialect": 2062}
_SPEAKERS = {
    "aiden": 2861,
    "dylan": 2878,
    "eric": 2875,
    "ono_anna": 2873,
    "ryan": 3061,
    "serena": 3066,
    "sohee": 2864,
    "uncle_fu": 3010,
    "vivian": 3065,
}
_SPEAKS_DIALECT = {"dylan": "beijing_dialect", "eric": "sichuan_dialect"}
SAMPLING: Mapping[str, Any] = {
    "do_sample": True,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 1.0,
    "repetition_penalty": 1.05,
    "subtalker_dosample": True,
    "subtalker_temperature": 0.9,
    "subtalker_top_k": 50,
    "subtalker_top_p": 1.0,
    "max_new_tokens": 8192,
}
"""The content of generation_config.json."""


def make_config(kind: Kind, shape: Shape, tokenizer: TextTokenizer) -> dict[str, Any]:
    """Return the content of a checkpoint's config.json."""
    config = {
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "assistant_token_id": tokenizer.ids["assistant"],
        "im_end_token_id": tokenizer.ids["<|im_end|>"],
        "im_start_token_id": tokenizer.ids["<|im_start|>"],
        "model_type": "qwen3_tts",
        "talker_config": _talker_config(kind, shape, shape.text_vocabulary or tokenizer.size),
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_bos_token_id": tokenizer.ids["<tts_text_bos>"],
        "tts_eos_token_id": tokenizer.ids["<tts_text_eod>"],
        "tts_model_size": "0b6" if shape.talker.hidden == shape.predictor.hidden else "1b7",
        "tts_model_type": kind,
        "tts_pad_token_id": tokenizer.ids["<tts_pad>"],
    }
    if kind == "base":
        config["speaker_encoder_config"] = {
            "enc_dim": shape.talker.hidden,
            "sample_rate": 24_000,
            **shape.speaker_encoder,
        }
    return config


def _talker_config(kind: Kind, shape: Shape, text_vocabulary: int) -> dict[str, Any]:
    moved = shape.codec.codes - _FULL_CODES

    def ids(published: Mapping[str, int]) -> dict[str, int]:
        return {name: id_ + moved for name, id_ in published.items()}

    speakers = _SPEAKERS if kind == "custom_voice" else {}
    layers = {
        "attention_bias": False,
        "attention_dropout": 0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "sliding_window": None,
        "use_cache": True,
        "use_sliding_window": False,
        "num_code_groups": 16,
    }
    return {
        **layers,
        **shape.talker.config(),
        **ids(_CONTROL),
        "model_type": "qwen3_tts_talker",
        "codec_language_id": ids(_LANGUAGES | (_DIALECTS if speakers else {})),
        "spk_id": ids(speakers),
        "spk_is_dialect": {speaker: _SPEAKS_DIALECT.get(speaker, False) for speaker in speakers},
        "max_position_embeddings": 32_768,
        "position_id_per_seconds": 13,
        "rope_scaling": {
            "interleaved": True,
            "mrope_section": list(shape.mrope_section),
            "rope_type": "default",
            "type": "default",
        },
        "text_hidden_size": shape.text_hidden,
        "text_vocab_size": text_vocabulary,
        "vocab_size": shape.codec.codes + 1024,
        "code_predictor_config": {
            **layers,
            **shape.predictor.config(),
            "model_type": "qwen3_tts_talker_code_predictor",
            "layer_types": ["full_attention"] * shape.predictor.layers,
            "max_position_embeddings": 65_536,
            "max_window_layers": 28,
            "rope_scaling": None,
            "vocab_size": shape.codec.codes,
        },
    }


def codec_config(codec: CodecShape) -> dict[str, Any]:
    """Return the content of a codec's config.json."""
    return {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "model_type": "qwen3_tts_tokenizer_12hz",
        "encoder_valid_num_quantizers": 16,
        "input_sample_rate": 24_000,
        "output_sample_rate": 24_000,
        "decode_upsample_rate": 1920,
        "encode_downsample_rate": 1920,
        "decoder_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "codebook_size": codec.codes,
            "hidden_act": "silu",
            "layer_scale_initial_scale": 0.01,
            "max_position_embeddings": 8000,
            "num_quantizers": 16,
            "num_semantic_quantizers": 1,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000,
            "sliding_window": 72,
            "upsample_rates": [8, 5, 4, 3],
            "upsampling_ratios": [2, 2],
            **codec.decoder,
        },
        "encoder_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "audio_channels": 1,
            "codebook_size": codec.codes,
            "compress": 2,
            "dilation_growth_rate": 2,
            "frame_rate": 12.5,
            "hidden_act": "gelu",
            "initializer_range": 0.02,
            "kernel_size": 7,
            "last_kernel_size": 3,
            "layer_scale_initial_scale": 0.01,
            "max_position_embeddings": 8000,
            "model_type": "mimi",
            "norm_eps": 1e-5,
            "normalize": False,
            "num_quantizers": 32,
            "num_residual_layers": 1,
            "num_semantic_quantizers": 1,
            "pad_mode": "constant",
            "residual_kernel_size": 3,
            "rope_theta": 10_000,
            "sampling_rate": 24_000,
            "sliding_window": 250,
            "trim_right_ratio": 1.0,
            "upsample_groups": codec.encoder["hidden_size"],
            "upsampling_ratios": [8, 6, 5, 4],
            "use_cache": False,
            "use_causal_conv": True,
            "use_conv_shortcut": False,
            "use_streaming": False,
            **codec.encoder,
        },
    }
