"""Text to tokens. A client's text stays text, even if it contains special tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.version import Version
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

QWEN_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen's own pattern of the words of a text."""
_PACKAGE_WORDS: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The pattern with which the package, by a flag of transformers 4.57, reads a large vocabulary."""
_LARGE: Final = 100_000


@dataclass(frozen=True)
class PromptMarks:
    """The tokens before and after a part of the prompt."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class TextTokenizer:
    """A checkpoint's tokenizer. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` contains vocab.json, merges.txt, tokenizer_config.json and config.json."""
        self._plain = Tokenizer(BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
        self._plain.normalizer = NFC()
        words = Split(Regex(_words_of(folder, self._plain.get_vocab_size())), behavior="isolated")
        self._plain.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])
        added = _json(folder / "tokenizer_config.json")["added_tokens_decoder"]
        special = {token["content"]: int(id_) for id_, token in added.items()}
        start, end = special["<|im_start|>"], special["<|im_end|>"]
        self.role = (start, *self.encode("assistant\n"))
        """The tokens before the text to synthesize."""
        self.instruction = PromptMarks((start, *self.encode("user\n")), (end, *self.encode("\n")))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a client's text."""
        ids: list[int] = self._plain.encode(text).ids
        return ids


def _words_of(folder: Path, vocabulary: int) -> str:
    """Return the pattern that transformers 4.57 chooses by the size of the vocabulary and the checkpoint's version."""
    version = Version(_json(folder / "config.json").get("transformers_version", "4.57.3"))
    replaced = vocabulary > _LARGE and Version("4.57.2") < version < Version("5.0.0")
    return _PACKAGE_WORDS if replaced else QWEN_WORDS


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
