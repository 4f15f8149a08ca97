"""The times of words in the speech of a text, and their layout in the tensors of `contract.SPEECH`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritone.transcript import Word


def word_columns(words: Sequence[Word]) -> dict[str, NDArray[Any]]:
    """Return the output tensors by name, each of shape [words]."""
    return {
        "word_text": np.array([word.text.encode() for word in words], np.object_),
        "word_start": np.array([word.start for word in words], np.float32),
        "word_end": np.array([word.end for word in words], np.float32),
    }


def words_of(tensors: Mapping[str, NDArray[Any]]) -> list[Word]:
    """Undo `word_columns`; no words if there are no such tensors."""
    if "word_text" not in tensors:
        return []
    columns = (tensors[name].reshape(-1).tolist() for name in ("word_start", "word_end", "word_text"))
    return [Word(start, end, text.decode(), 1.0) for start, end, text in zip(*columns, strict=True)]
