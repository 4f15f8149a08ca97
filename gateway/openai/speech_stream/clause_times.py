"""The times of the words of an utterance's parts, which may become known after the audio of later parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.core.spoken_clause import SpokenClause
from gateway.openai.speech.protocol import SpeechBody
from gateway.openai.speech.timestamps import Timestamps


class ClauseTimes:
    """Makes the messages of the parts that were sent, in their order."""

    def __init__(self, body: SpeechBody) -> None:
        self._timestamps = Timestamps.of(body)
        self._sent: deque[tuple[SpokenClause, float, Mapping[str, int]]] = deque()

    def add(self, clause: SpokenClause, delay: float, where: Mapping[str, int]) -> None:
        """Take a part whose audio was sent, after `delay` seconds of a player; `where` are the fields that name it."""
        self._sent.append((clause, delay, where))

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the message of each part whose words have times by now, as far as the request asks for any.

        Its times are seconds from the start of that part's audio.
        """
        while self._sent and self._sent[0][0].timed.is_set():
            clause, delay, where = self._sent.popleft()
            words = [word.shifted(clause.silence + delay) for word in clause.take_words()]
            if times := self._timestamps.add(words, last=True):
                yield {"type": "audio.timestamps", **where, **times.model_dump(exclude_none=True)}
