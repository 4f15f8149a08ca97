"""The words of audio that clients refer to again: answers by their ids, recordings by their digests."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_SECONDS: Final = 3600
_MOST_TEXTS: Final = 1000
_MOST_CHARS: Final = 4 * 2**20
"""Limits for one client; the oldest texts are forgotten first."""


@dataclass(frozen=True)
class RememberedText:
    """The words of a piece of audio."""

    text: str
    audio_tokens: int = 0
    """Tokens of the audio, where they are counted."""


@dataclass
class _Client:
    texts: OrderedDict[str, tuple[int, RememberedText]]
    """Key -> Unix seconds of its expiry, and the text; those that expire first come first."""
    chars: int = 0

    def forget_first(self) -> None:
        _, (_, first) = self.texts.popitem(last=False)
        self.chars -= len(first.text)


class RememberedTexts:
    """Keeps the texts of each client for an hour in the memory of this process. For the event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._clients: dict[str, _Client] = {}

    def add(self, owner: str, key: str, text: RememberedText) -> int:
        """Keep a text of the client `owner`, and return when it expires, in Unix seconds."""
        client = self._clients.setdefault(owner, _Client(OrderedDict()))
        if key in client.texts:
            _, old = client.texts.pop(key)
            client.chars -= len(old.text)
        expires_at = int(self._clock()) + _SECONDS
        client.texts[key] = expires_at, text
        client.chars += len(text.text)
        while len(client.texts) > _MOST_TEXTS or (client.chars > _MOST_CHARS and len(client.texts) > 1):
            client.forget_first()
        return expires_at

    def get(self, owner: str, key: str) -> RememberedText | None:
        """Return the client's text; None if it was never kept, or is not any more."""
        client = self._clients.get(owner)
        if client is None:
            return None
        now = self._clock()
        while client.texts and next(iter(client.texts.values()))[0] <= now:
            client.forget_first()
        found = client.texts.get(key)
        return found[1] if found else None
