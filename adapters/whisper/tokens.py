"""Whisper's tokens: their bytes, and their log probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from adapters.whisper.decoding import batch

_SHOWN = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""The bytes that a byte-level vocabulary writes as the characters of the same numbers; the others begin at 256."""
_BYTES = {chr(byte): byte for byte in _SHOWN} | {
    chr(256 + i): byte for i, byte in enumerate(byte for byte in range(256) if byte not in _SHOWN)
}


def token_bytes(tokenizer: Tokenizer, token: int) -> bytes:
    """Return the UTF-8 of a token, which may be a part of a character; empty for a token that is not text."""
    if token >= tokenizer.eot:
        return b""
    return bytes(_BYTES[character] for character in tokenizer.tokenizer.id_to_token(token))


def logprobs(
    whisper: WhisperModel, tokenizer: Tokenizer, encoded: NDArray[Any], frames: int, tokens: Sequence[int]
) -> list[float]:
    """Return the log probability of each token, given the audio and the text before it; 0 for tokens that are not text.

    The decoder returns only the sum of a result. So the text goes through it once more, as for the alignment of words:
    without timestamps, and without the text before the audio. `encoded` is the encoder's output, (positions,
    width); its first `frames` feature frames are audio, the others padding.
    """
    text = [token for token in tokens if token < tokenizer.eot]
    if not text:
        return [0.0] * len(tokens)
    [aligned] = whisper.model.align(batch([encoded]), tokenizer.sot_sequence, [text], frames)
    scores = iter(np.log(np.maximum(aligned.text_token_probs, np.finfo(np.float32).tiny)).tolist())
    return [next(scores) if token < tokenizer.eot else 0.0 for token in tokens]
