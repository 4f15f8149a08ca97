"""Text from tokens as they are drawn: a token may hold a part of a character."""

from __future__ import annotations

import codecs
from typing import Any

from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode


class TokenBytes:
    """The UTF-8 of each token."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids) | frozenset(tokenizer.added_tokens_decoder)
        self._bytes = {character: byte for byte, character in bytes_to_unicode().items()}

    def of(self, token: int) -> bytes:
        """Return the bytes of a token; none for a special token, and for one that the vocabulary does not name."""
        name = None if token in self._special else self._tokenizer.convert_ids_to_tokens(token)
        return bytes(self._bytes[character] for character in name or "")


class TextAssembler:
    """Joins the tokens of one window. All pieces together are the text, without space at its end.

    The text begins with a space where words are separated by spaces, so that the texts of windows can be joined.
    """

    def __init__(self) -> None:
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._space = ""

    def add(self, token: bytes, *, last: bool = False) -> str:
        """Add a token; return the text that is certain now. The `last` one may be empty, and ends the text."""
        piece = self._space + self._decoder.decode(token, last)
        stripped = piece.rstrip()
        self._space = piece[len(stripped) :]
        if not stripped:
            return ""
        if not self.text:
            stripped = stripped.lstrip()
            stripped = stripped if _is_unspaced(stripped[0]) else f" {stripped}"
        self.text += stripped
        return stripped


def _is_unspaced(character: str) -> bool:
    """Return whether a character is of a script without spaces: Chinese, Japanese, and their marks."""
    return (
        any(
            low <= character <= high
            for low, high in (("\u3000", "\u30ff"), ("\u3400", "\u9fff"), ("\uf900", "\ufaff"), ("\uff00", "\uffef"))
        )
        or character >= "\U00020000"
    )
