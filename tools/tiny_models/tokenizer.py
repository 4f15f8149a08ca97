"""A small text tokenizer in the files of Qwen's: vocab.json, merges.txt and tokenizer_config.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from adapters.qwen3_tts.inflight.model.tokenizer import QWEN_WORDS

_CORPUS = (
    "The harbour was quiet, and the last ferry had left an hour before.",
    "Please speak slowly, in a warm and friendly voice.",
    "Who would have thought that the library closes at nine?",
    "Morgen früh fährt der erste Zug um sechs Uhr. Demain, il fera beau.",
    "Mañana compramos pan y café. Domani andiamo al mare.",
    "明天早上我们去图书馆看书。",
    "明日は図書館へ行きます。",
    "내일 아침에 도서관에 갑니다.",
    "Завтра мы пойдём в библиотеку.",
)
_ROLES = ("assistant", "user", "system")
"""The package slices the tokens of a turn by number: each of these must be one token, and so must a newline."""
SPEECH_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
    "<tts_text_bos_single>",
    "<|audio_pad|>",
)
"""The special tokens of Qwen3-TTS; the first pads, the third ends a turn."""


@dataclass(frozen=True)
class TextTokenizer:
    """The token ids and the size that a checkpoint's config repeats."""

    ids: dict[str, int]
    """The special tokens, and the word `assistant`."""
    size: int


def write_tokenizer(
    folder: Path, special_tokens: Sequence[str] = SPEECH_TOKENS, processor: str = "Qwen3TTSProcessor"
) -> TextTokenizer:
    """Train the tokenizer on a few sentences and write its files into `folder`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, show_progress=False, initial_alphabet=alphabet)
    turns = [f"{role}\n" for role in _ROLES for _ in range(100)]  # often enough to become tokens of their own
    tokenizer.train_from_iterator([*_CORPUS, *turns], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    special = {token: len(model["vocab"]) + i for i, token in enumerate(special_tokens)}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(special, processor), indent=2), encoding="utf-8")
    return TextTokenizer({**special, "assistant": model["vocab"]["assistant"]}, len(model["vocab"]) + len(special))


def _config(special: dict[str, int], processor: str) -> dict[str, object]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(id_): {"content": token, **flags} for token, id_ in special.items()},
        "additional_special_tokens": list(special)[1:],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131_072,
        "pad_token": "<|endoftext|>",
        "processor_class": processor,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
