"""Detection of a sequence that repeats itself and would not end."""

from __future__ import annotations

import numpy as np

_LONGEST_PERIOD = 32
"""Tokens."""


class RepetitionDetector:
    """Counts the tokens of one stream that repeat those before them, with any period up to 32."""

    def __init__(self, tokens: int) -> None:
        """`tokens`: the number of repeating tokens that is too much; 0 turns the detector off."""
        self._limit = tokens
        self._tokens = np.full(2 * _LONGEST_PERIOD, -1)
        """The latest tokens, twice. From `_latest` on they lie in a row, the latest first, and need not be moved."""
        self._latest = 0
        self._repeated = np.zeros(_LONGEST_PERIOD, np.int64)
        """For each period p: the number of latest tokens that each equal the token p before."""
        self._most = 0
        """At least the largest of them, which is searched only when this reaches the limit."""

    def add(self, token: int) -> bool:
        """Add a token. Return True if a sequence of tokens has repeated for too long."""
        self._repeated += 1
        self._repeated *= self._tokens[self._latest : self._latest + _LONGEST_PERIOD] == token
        self._latest = (self._latest - 1) % _LONGEST_PERIOD
        self._tokens[self._latest] = self._tokens[self._latest + _LONGEST_PERIOD] = token
        self._most += 1
        if 0 < self._limit <= self._most:
            self._most = int(self._repeated.max())
        return 0 < self._limit <= self._most
