"""`python -m tools.tiny_models.whisper FOLDER TOKENIZER`: a tiny random Whisper, as `save_pretrained` writes it.

It runs in the `qwen` environment, and also writes one input and the tokens that transformers decodes from it:
`features.npy` (1, 80, 3000), and the greedy `tokens.npy` after `PROMPT`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    GenerationMixin,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizerFast,
)

PROMPT = (50258, 50259, 50359, 50363)  # start of transcript, English, transcribe, no timestamps
LENGTH = 32
END = 50257
LANGUAGES = ("en", "de", "fr", "ja")


def write(folder: Path, tokenizer: Path) -> None:
    """Fill `folder`; `tokenizer` is a published multilingual tokenizer.json."""
    torch.manual_seed(6)
    config = WhisperConfig(
        **{"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 51865},
        **{"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128},
        init_std=0.3,  # large enough for the tokens to depend on the audio, without ties between tokens
    )
    # In 16 bits, like most such checkpoints, so that the conversion loses nothing.
    model = WhisperForConditionalGeneration(config).half()
    words = WhisperTokenizerFast(tokenizer_file=str(tokenizer))
    model.generation_config = GenerationConfig(
        **{"decoder_start_token_id": PROMPT[0], "eos_token_id": END, "pad_token_id": END, "bos_token_id": END},
        lang_to_id={f"<|{code}|>": words.convert_tokens_to_ids(f"<|{code}|>") for code in LANGUAGES},
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    extractor = WhisperFeatureExtractor()
    extractor.save_pretrained(folder)
    tone = np.sin(np.arange(16_000 * 3) * 0.05) * np.linspace(0.1, 1, 16_000 * 3)
    features = extractor(tone, sampling_rate=16_000, return_tensors="pt").input_features
    # Whisper's own `generate` adds rules for suppression and timestamps; these are the model's bare tokens.
    tokens = GenerationMixin.generate(
        model.float().eval(), features, decoder_input_ids=torch.tensor([PROMPT]), max_new_tokens=LENGTH, do_sample=False
    )
    np.save(folder / "features.npy", features.numpy())
    np.save(folder / "tokens.npy", tokens[0, len(PROMPT) :].numpy())


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
