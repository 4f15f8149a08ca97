"""Mixes of voices: `af_bella+af_sky`, or `af_bella(2)+af_sky(1)` with weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from tritone.errors import InvalidInput

MOST_VOICES = 16
"""The most voices of a mix."""
_PART = re.compile(r"(?P<name>[^()]{1,64})(?:\( ?(?P<weight>\d{1,6}(?:\.\d{1,6})?|\.\d{1,6}) ?\))?")


def is_mix(voice: str) -> bool:
    """Whether the name of a voice has the form of a mix."""
    return "+" in voice or "(" in voice


@lru_cache(maxsize=256)
def shares_of(mix: str) -> dict[str, float]:
    """Return each voice of a mix with its share; the shares together are 1.

    A voice without a weight has the weight 1; a voice that is named twice has both weights. The result is shared: do
    not change it. Raises `InvalidInput` for a text in another form.
    """
    weights: dict[str, float] = {}
    for part in mix.split("+"):
        match = _PART.fullmatch(part.strip())
        name = match["name"].strip() if match else ""
        if not match or not name:
            raise InvalidInput(
                "voice", f"{mix[:128]!r} is no mix of voices: {part.strip()[:64]!r} is not a name, or name(weight)"
            )
        weights[name] = weights.get(name, 0) + float(match["weight"] or 1)
    if len(weights) > MOST_VOICES:
        raise InvalidInput("voice", f"mixes {len(weights)} voices; the most is {MOST_VOICES}")
    total = sum(weights.values())
    if not total:
        raise InvalidInput("voice", f"{mix[:128]!r} has no weight above 0")
    return {name: weight / total for name, weight in weights.items() if weight}


def rename(mix: str, find: Callable[[str], str]) -> str:
    """Return a mix with the id that `find` gives for each name, and its share; a mix of one voice is the voice.

    Raises `InvalidInput` for a text in another form.
    """
    shares: dict[str, float] = {}
    for name, share in shares_of(mix).items():
        id_ = find(name)
        if not id_:
            raise InvalidInput("voice", f"this model has no voice for {name!r} in the mix")
        shares[id_] = shares.get(id_, 0) + share
    if len(shares) == 1:
        return next(iter(shares))
    return "+".join(f"{id_}({share:.6f})" for id_, share in shares.items())
