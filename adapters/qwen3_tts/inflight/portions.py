"""How much of which prompt is read between two frames, so that nobody's speech stops for a long one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

K = TypeVar("K")


def portions(unread: Sequence[tuple[K, int]], budget: int, *, alone: bool = False) -> Mapping[K, int]:
    """Who reads how many tokens now, of prompts with so many unread, in order of arrival; `budget` in all, at most.

    The oldest may take half of the budget, so that it gets on whatever else comes. The rest goes to the shortest first,
    so that a short prompt, whose listener could hear something at once, does not wait for a long one; and what is
    then left goes by arrival again. Each becomes the oldest in time: nobody starves.

    `alone`: nobody is being spoken whom it could delay, so the oldest is read to its end.
    """
    if not unread:
        return {}
    left = dict(unread)
    (oldest, length), *others = unread
    budget = max(budget, length) if alone else budget
    taken: dict[K, int] = {}

    def take(key: K, tokens: int) -> None:
        nonlocal budget
        tokens = min(tokens, left[key], budget)
        if tokens:
            taken[key] = taken.get(key, 0) + tokens
            left[key] -= tokens
            budget -= tokens

    take(oldest, length if alone else (budget + 1) // 2)
    for key, tokens in sorted(others, key=lambda other: other[1]):
        if tokens <= budget:
            take(key, tokens)
    for key, tokens in unread:
        take(key, tokens)
    return taken
