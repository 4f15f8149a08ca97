"""Segments and words, and how they lie in the tensors of `contract.TRANSCRIPTION`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]

_SEGMENT_NUMBERS = ("start", "end", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
_WORD_NUMBERS = ("start", "end", "probability")


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its times in seconds."""

    start: float
    end: float
    text: str
    probability: float

    def shifted(self, seconds: float) -> Word:
        """The same word, `seconds` later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech, of a sentence's size, with its times in seconds."""

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    """One for each of `tokens`; empty unless they were asked for."""
    token_texts: tuple[bytes, ...] = ()
    """UTF-8, in pieces, for each of `tokens`; with `token_logprobs`, and empty for a token that is no text."""

    def shifted(self, seconds: float) -> Segment:
        """The same segment, `seconds` later."""
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(word.shifted(seconds) for word in self.words),
        )


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a model heard in one window."""

    language: str
    language_probability: float
    segments: tuple[Segment, ...]

    def to_columns(self) -> Columns:
        """The output tensors by name, each of shape [1, n]: a row of the batch."""
        words = [word for segment in self.segments for word in segment.words]
        logprobs = [logprob for segment in self.segments for logprob in segment.token_logprobs]
        columns = {
            "language": _column([self.language]),
            "language_probability": _column([self.language_probability], np.float32),
            "token_ids": _column([token for segment in self.segments for token in segment.tokens], np.int32),
            "token_logprobs": _column(logprobs, np.float32),
            "token_text": _column([text for segment in self.segments for text in segment.token_texts]),
            "segment_token_count": _column([len(segment.tokens) for segment in self.segments], np.int32),
            "segment_word_count": _column([len(segment.words) for segment in self.segments], np.int32),
            "segment_text": _column([segment.text for segment in self.segments]),
            "word_text": _column([word.text for word in words]),
        }
        for name in _SEGMENT_NUMBERS:
            columns[f"segment_{name}"] = _column([getattr(s, name) for s in self.segments], np.float32)
        for name in _WORD_NUMBERS:
            columns[f"word_{name}"] = _column([getattr(word, name) for word in words], np.float32)
        return columns

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Transcript:
        """Undo `to_columns`; BYTES columns may hold `bytes`, as they do after gRPC."""

        def column(name: str) -> list[Any]:
            return [v.decode() if isinstance(v, bytes) else v for v in columns[name].reshape(-1).tolist()]

        def rows(prefix: str, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
            values = zip(*(column(f"{prefix}_{name}") for name in names), strict=True)
            return (dict(zip(names, row, strict=True)) for row in values)

        words = iter([Word(**row) for row in rows("word", ("text", *_WORD_NUMBERS))])
        tokens, logprobs = iter(column("token_ids")), iter(column("token_logprobs"))
        texts = iter(columns["token_text"].reshape(-1).tolist())
        segments = []
        for row in rows("segment", ("token_count", "word_count", "text", *_SEGMENT_NUMBERS)):
            token_count, word_count = row.pop("token_count"), row.pop("word_count")
            segments.append(
                Segment(
                    tokens=tuple(islice(tokens, token_count)),
                    token_logprobs=tuple(islice(logprobs, token_count)),
                    token_texts=tuple(islice(texts, token_count)),
                    words=tuple(islice(words, word_count)),
                    **row,
                )
            )
        return cls(column("language")[0], column("language_probability")[0], tuple(segments))


def _column(values: list[Any], dtype: type[np.generic] | None = None) -> NDArray[Any]:
    """One row of a batch; text becomes UTF-8 bytes."""
    if dtype is None:
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return np.array(encoded, dtype=np.object_).reshape(1, -1)
    return np.array([values], dtype=dtype)
