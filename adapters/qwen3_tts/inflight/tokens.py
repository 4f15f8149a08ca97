"""Text to tokens: a caller's text is only text, whatever marks it spells out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import Qwen2TokenizerFast


@dataclass(frozen=True)
class Turn:
    """The marks around a text in the prompt; a text stands in a turn of its own."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class TextTokenizer:
    """A checkpoint's tokenizer. May be used from any thread."""

    def __init__(self, folder: Path) -> None:
        """`folder` has vocab.json and merges.txt."""
        # As in the package: with this, transformers 4.57 cuts text into words by another pattern than Qwen's own.
        ours = Qwen2TokenizerFast.from_pretrained(folder, fix_mistral_regex=True)
        parts = json.loads(ours.backend_tokenizer.to_str())
        self._plain = Tokenizer.from_str(json.dumps({**parts, "added_tokens": [], "post_processor": None}))
        self.role = tuple(ours.encode("<|im_start|>assistant\n"))
        """What stands before an utterance."""
        self.instruction = Turn(tuple(ours.encode("<|im_start|>user\n")), tuple(ours.encode("<|im_end|>\n")))

    def encode(self, text: str) -> list[int]:
        """The tokens of a caller's text."""
        ids: list[int] = self._plain.encode(text).ids
        return ids
