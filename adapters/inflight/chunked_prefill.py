"""Chunked prefill: the share of each prompt to prefill between two frames, so that a long prompt delays no stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

K = TypeVar("K")


def plan_prefill(unprefilled: Sequence[tuple[K, int]], budget: int, *, alone: bool = False) -> Mapping[K, int]:
    """Return the tokens to prefill for each key; in all at most `budget`.

    `unprefilled`: keys and their remaining prompt tokens, in order of arrival. The oldest prompt gets up to half of the
    budget, so that it advances whatever arrives later. The rest goes to the shortest prompts first, so that a short
    prompt does not wait for a long one. What is left goes by order of arrival. Every prompt becomes the oldest in time,
    so none starves.

    `alone`: no stream is decoding that could be delayed. The oldest prompt is then prefilled to its end.
    """
    if not unprefilled:
        return {}
    left = dict(unprefilled)
    (oldest, length), *others = unprefilled
    budget = max(budget, length) if alone else budget
    planned: dict[K, int] = {}

    def take(key: K, tokens: int) -> None:
        nonlocal budget
        tokens = min(tokens, left[key], budget)
        if tokens:
            planned[key] = planned.get(key, 0) + tokens
            left[key] -= tokens
            budget -= tokens

    take(oldest, length if alone else (budget + 1) // 2)
    for key, tokens in sorted(others, key=lambda other: other[1]):
        if tokens <= budget:
            take(key, tokens)
    for key, tokens in unprefilled:
        take(key, tokens)
    return planned
