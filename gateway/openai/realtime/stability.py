"""How soon the text of a turn that grows is sent, against how sure it is: OpenAI's `delay`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import takewhile
from typing import Final, Literal, NamedTuple

Delay = Literal["minimal", "low", "medium", "high", "xhigh"]


class Pace(NamedTuple):
    """When text is sent."""

    interval: float
    """Seconds between two transcriptions of a turn that grows, at the least."""
    agreeing: int
    """The successive transcriptions that a word must be in."""


_PACES: Final[dict[Delay, Pace]] = {
    "minimal": Pace(0.5, 1),
    "low": Pace(0.5, 2),
    "medium": Pace(1, 2),
    "high": Pace(1, 3),
    "xhigh": Pace(2, 3),
}
"""The intervals are shares of the server's."""


def pace_of(delay: Delay | None, interval: float) -> Pace:
    """Return the pace of a delay, None for the default, where the server's interval is so many seconds."""
    share, agreeing = _PACES[delay or "medium"]
    return Pace(share * interval, agreeing)


def stable_text(texts: Sequence[str], agreeing: int) -> str:
    """Return what can be sent of a turn, by its transcriptions so far; the last one is of the most audio."""
    if agreeing == 1:
        return _without_last_word(texts[-1])
    if len(texts) < agreeing:
        return ""
    return reduce(lambda later, earlier: stable_prefix(earlier, later), reversed(texts[-agreeing:]))


def stable_prefix(earlier: str, later: str) -> str:
    """Return the whole words that both texts begin with; characters, if there are no spaces."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(earlier, later, strict=False))
    common = "".join(character for character, _ in pairs)
    if common == later or " " not in later:
        return common
    # The last word may be incomplete: "can" and "cannot".
    return common[: common.rfind(" ")] if " " in common else ""


def _without_last_word(text: str) -> str:
    """Return the text without its last word, which may be incomplete; if there are no spaces, without 2 characters."""
    return text[: text.rfind(" ")] if " " in text else text[:-2]
