"""A Whisper checkpoint with random weights in CTranslate2's format, whose transcripts have a fixed length.

The end token and the timestamps score so low that they are drawn only where nothing else is allowed, and the scores of
the words differ so much that every decoding passes the decoder's checks at the first attempt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from numpy.typing import NDArray
from tokenizers import decoders, models, pre_tokenizers

MELS = 128
_WORDS = 50257
_TIMESTAMPS = 1501
_POSITIONS, _FRAMES = 448, 1500
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPREAD, _NEVER = 30.0, -200.0
"""The standard deviation of the words' scores, and the score of the other tokens."""

Array = NDArray[np.float16]


@dataclass(frozen=True)
class WhisperShape:
    """The numbers of layers, and their widths."""

    encoder_layers: int
    decoder_layers: int
    heads: int
    width: int


TURBO = WhisperShape(encoder_layers=32, decoder_layers=4, heads=20, width=1280)
"""large-v3-turbo: 0.8 billion weights."""
TINY = WhisperShape(encoder_layers=2, decoder_layers=2, heads=2, width=64)


def write(folder: Path, shape: WhisperShape) -> None:
    """Fill `folder`, which must not exist, with weights in float16."""
    tokens = [*_words(), *_special_tokens()]
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    _fill(spec, shape, len(tokens))
    spec.register_vocabulary(tokens)
    spec.config.lang_ids = [tokens.index(f"<|{code}|>") for code in _LANGUAGE_CODES]
    spec.config.alignment_heads = [[shape.decoder_layers - 1, 0]]
    spec.validate()
    spec.optimize(quantization="float16")
    folder.mkdir(parents=True)
    spec.save(str(folder))
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens[:_WORDS])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(tokens[_WORDS:])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}))


def _words() -> list[str]:
    """Return the alphabet of bytes, and words of five letters: as hard to compress as a text.

    As in the published vocabularies the last word is empty; CTranslate2 takes others for English alone.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = np.random.default_rng(1).choice(len(_LETTERS) ** 5, _WORDS - len(alphabet) - 1, replace=False)
    return [*alphabet, *(f"Ġ{_spelled(int(number))}" for number in numbers), ""]


def _spelled(number: int) -> str:
    return "".join(_LETTERS[number // len(_LETTERS) ** place % len(_LETTERS)] for place in range(5))


def _special_tokens() -> Iterator[str]:
    yield from ("<|endoftext|>", "<|startoftranscript|>")
    yield from (f"<|{code}|>" for code in _LANGUAGE_CODES)
    yield from ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")
    yield "<|notimestamps|>"
    yield from (f"<|{0.02 * step:.2f}|>" for step in range(_TIMESTAMPS))


def _fill(spec: Any, shape: WhisperShape, vocabulary: int) -> None:
    """Set all weights."""
    draw, width = _Random(), shape.width
    encoder, decoder = spec.encoder, spec.decoder
    for conv, channels in ((encoder.conv1, MELS), (encoder.conv2, width)):
        conv.weight, conv.bias = draw(width, channels, 3), _zeros(width)
    for stack, positions in ((encoder, _FRAMES), (decoder, _POSITIONS)):
        stack.position_encodings.encodings = draw(positions, width, spread=1.0)
        _norm(stack.layer_norm, width)
        for layer in stack.layer:
            _attention(layer.self_attention, [3 * width, width], width, draw)
            if stack is decoder:
                _attention(layer.attention, [width, 2 * width, width], width, draw)
            _linear(layer.ffn.linear_0, 4 * width, width, draw)
            _linear(layer.ffn.linear_1, width, 4 * width, draw)
            _norm(layer.ffn.layer_norm, width)
    decoder.embeddings.weight = draw(vocabulary, width, spread=1.0)
    scores = draw(vocabulary, width, spread=_SPREAD / width**0.5)
    scores[:, 0] = 0
    scores[_WORDS:, 0] = _NEVER
    decoder.projection.weight = scores
    decoder.layer_norm.gamma[0], decoder.layer_norm.beta[0] = 0, 1


class _Random:
    """Normal numbers, drawn once. Each array begins elsewhere: equal ones would be stored once."""

    def __init__(self) -> None:
        self._numbers = np.random.default_rng(0).standard_normal(1 << 21, np.float32).astype(np.float16)
        self._start = 0

    def __call__(self, *shape: int, spread: float | None = None) -> Array:
        """Return numbers of a standard deviation; by default half of 1 / sqrt(fan in)."""
        spread = 0.5 / float(np.prod(shape[1:])) ** 0.5 if spread is None else spread
        self._start = (self._start + 7919) % len(self._numbers)
        drawn = np.resize(np.roll(self._numbers, -self._start), shape)
        return (drawn * np.float16(spread)).astype(np.float16)


def _linear(spec: Any, rows: int, columns: int, draw: _Random) -> None:
    spec.weight, spec.bias = draw(rows, columns), _zeros(rows)


def _attention(spec: Any, rows: list[int], width: int, draw: _Random) -> None:
    _norm(spec.layer_norm, width)
    for linear, count in zip(spec.linear, rows, strict=True):
        _linear(linear, count, width, draw)


def _norm(spec: Any, width: int) -> None:
    spec.gamma, spec.beta = np.ones(width, np.float16), _zeros(width)


def _zeros(count: int) -> Array:
    return np.zeros(count, np.float16)
