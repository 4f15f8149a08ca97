"""The gateway's memory of cloned voices: digests of recordings, and the voices that a model did not hold."""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Final, Generic, TypeVar

V = TypeVar("V")

_MOST: Final = 10_000
"""Entries; each takes a few hundred bytes."""
_TRIES: Final = 8
"""Requests after a miss that may carry the recording."""


class _Recent(Generic[V]):
    """The values that were used last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def set(self, key: bytes, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def discard(self, key: bytes) -> None:
        self._values.pop(key, None)


class KnownVoices:
    """For the event loop alone."""

    def __init__(self, most: int = _MOST) -> None:
        self._digests: _Recent[bytes] = _Recent(most)
        self._missed: _Recent[int] = _Recent(most)
        self._random = random.Random()  # noqa: S311 - no secret

    def digest(self, file: bytes) -> bytes | None:
        """Return the `audio_digest` of the recording in the file with this digest; None if it was not decoded here."""
        return self._digests.get(file)

    def add(self, file: bytes, samples: bytes) -> None:
        """Remember that the file with the digest `file` holds the recording with the `audio_digest` `samples`."""
        self._digests.set(file, samples)

    def missed(self, key: str) -> None:
        """Record that a model did not hold the voice of a key."""
        self._missed.set(key.encode(), _TRIES)

    def carries_recording(self, key: str) -> bool:
        """Return whether the next request for a voice should carry its recording, although a model may hold it.

        Servers, and the instances of a model in a server, take turns. If every first try met one instance and every
        second try another, the first would never get the recording. So after a miss some requests carry it at once, at
        random.
        """
        left = self._missed.get(key.encode())
        if not left:
            return False
        if left == 1:
            self._missed.discard(key.encode())
        else:
            self._missed.set(key.encode(), left - 1)
        return self._random.random() < 0.5
