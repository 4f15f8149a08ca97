"""Text to tokens. A client's text stays text, even if it contains special tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import Qwen2TokenizerFast


@dataclass(frozen=True)
class PromptMarks:
    """The tokens before and after a part of the prompt."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class TextTokenizer:
    """A checkpoint's tokenizer. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` contains vocab.json and merges.txt."""
        # As in the package: with this flag, transformers 4.57 splits text by another pattern than Qwen's own.
        ours = Qwen2TokenizerFast.from_pretrained(folder, fix_mistral_regex=True)
        parts = json.loads(ours.backend_tokenizer.to_str())
        self._plain = Tokenizer.from_str(json.dumps({**parts, "added_tokens": [], "post_processor": None}))
        self.role = tuple(ours.encode("<|im_start|>assistant\n"))
        """The tokens before the text to synthesize."""
        self.instruction = PromptMarks(tuple(ours.encode("<|im_start|>user\n")), tuple(ours.encode("<|im_end|>\n")))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a client's text."""
        ids: list[int] = self._plain.encode(text).ids
        return ids
