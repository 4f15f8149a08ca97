"""Segments and words of a transcript, and their layout in the tensors of `contract.TRANSCRIPTION`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]

_SEGMENT_NUMBERS = ("start", "end")
_SEGMENT_STATISTICS = ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
_WORD_NUMBERS = ("start", "end", "probability")


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its times in seconds."""

    start: float
    end: float
    text: str
    probability: float

    def shifted(self, seconds: float) -> Word:
        """Return the same word, `seconds` later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)

    def scaled(self, factor: float) -> Word:
        """Return the same word in audio that is `factor` times as long."""
        return replace(self, start=self.start * factor, end=self.end * factor)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech, about a sentence long, with its times in seconds.

    The statistics from `temperature` to `no_speech_prob` are None where the model's decoder has no such number.
    """

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    words: tuple[Word, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    """The log probability of each of `tokens`; empty unless the request asked for them."""
    token_texts: tuple[bytes, ...] = ()
    """UTF-8 of each of `tokens`, which may be a part of a character; empty bytes for a token that is not text.

    Present where `token_logprobs` is.
    """

    def shifted(self, seconds: float) -> Segment:
        """Return the same segment, `seconds` later."""
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(word.shifted(seconds) for word in self.words),
        )


@dataclass(frozen=True, slots=True)
class Transcript:
    """The result of one window."""

    language: str
    language_probability: float
    segments: tuple[Segment, ...]

    @property
    def token_count(self) -> int:
        """The number of the text's tokens."""
        return sum(len(segment.tokens) for segment in self.segments)

    def to_columns(self) -> Columns:
        """Return the output tensors by name, each of shape [1, n]: a row of the batch.

        A statistic has one value for each segment, NaN where a segment does not have it; the column is empty where no
        segment does.
        """
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
        for name in _SEGMENT_STATISTICS:
            columns[f"segment_{name}"] = _optional_column([getattr(s, name) for s in self.segments])
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
        segment_rows = list(rows("segment", ("token_count", "word_count", "text", *_SEGMENT_NUMBERS)))
        statistics = {
            name: _optional_values(column(f"segment_{name}"), len(segment_rows)) for name in _SEGMENT_STATISTICS
        }
        segments = []
        for i, row in enumerate(segment_rows):
            token_count, word_count = row.pop("token_count"), row.pop("word_count")
            row.update({name: values[i] for name, values in statistics.items()})
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
    """Return one row of a batch; text becomes UTF-8 bytes."""
    if dtype is None:
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return np.array(encoded, dtype=np.object_).reshape(1, -1)
    return np.array([values], dtype=dtype)


def _optional_column(values: Sequence[float | None]) -> NDArray[Any]:
    """Return one row of a batch with NaN for None; an empty row where all values are None."""
    if all(value is None for value in values):
        return _column([], np.float32)
    return _column([math.nan if value is None else value for value in values], np.float32)


def _optional_values(column: Sequence[float], count: int) -> Sequence[float | None]:
    """Undo `_optional_column` for `count` values; raises `ValueError` for any other length than 0 and `count`."""
    if not column:
        return [None] * count
    if len(column) != count:
        raise ValueError(f"a statistic has {len(column)} values for {count} segments")
    return [None if math.isnan(value) else value for value in column]
