"""The text of spoken audio: which of its words are in the first so many milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.speech_options import expected_seconds
from tritone.contract import SPEECH_RATE

_EAST_ASIA: Final = "\u2e80"
"""The first of the characters between which there are no spaces."""


@dataclass
class SentClause:
    """A clause, and the length of its audio that was sent so far."""

    text: str
    samples: int = 0
    """At `SPEECH_RATE`."""
    complete: bool = False

    @property
    def length(self) -> float:
        """The samples of the whole clause; an estimate, if it was cut."""
        expected = 0.0 if self.complete else expected_seconds(self.text) * SPEECH_RATE
        return max(self.samples, expected)


class SpokenText:
    """Clauses that were spoken one after the other."""

    def __init__(self) -> None:
        self._clauses: list[SentClause] = []

    def begin(self, text: str) -> str:
        """Add a clause; return what it adds to the text."""
        joint = _joint(self._clauses[-1].text, text) if self._clauses else ""
        self._clauses.append(SentClause(text))
        return joint + text

    def add(self, samples: int) -> None:
        """Add to the audio of the last clause."""
        self._clauses[-1].samples += samples

    def end(self) -> None:
        """Note that the last clause has its whole audio."""
        self._clauses[-1].complete = True

    @property
    def milliseconds(self) -> int:
        """The length of the audio."""
        return sum(clause.samples for clause in self._clauses) * 1000 // SPEECH_RATE

    @property
    def text(self) -> str:
        """All clauses."""
        return _joined([clause.text for clause in self._clauses])

    def heard(self, milliseconds: float) -> str:
        """Return the words that end within the first `milliseconds` of the audio.

        A clause's words are taken to be as long as they have characters.
        """
        left = milliseconds * SPEECH_RATE / 1000
        heard: list[str] = []
        for clause in self._clauses:
            if clause.complete and left >= clause.samples:
                heard.append(clause.text)
                left -= clause.samples
                continue
            part = _words_within(clause.text, left / clause.length) if clause.samples else ""
            heard += [part] if part else []
            break
        return _joined(heard)


def shorter(text: str, heard: str) -> str:
    """Return the words that were heard, or `text`, if less is known to have been heard."""
    return min(text, heard, key=len)


def _words_within(text: str, share: float) -> str:
    """Return the words of `text` that end within its first `share`; characters, if it has no spaces."""
    end = int(len(text) * min(share, 1.0))
    if end >= len(text) or text[end].isspace() or text[end] >= _EAST_ASIA:
        return text[:end].rstrip()
    cut = text[:end]
    return cut[: max((index for index, letter in enumerate(cut) if letter.isspace()), default=0)].rstrip()


def _joined(clauses: list[str]) -> str:
    text = ""
    for clause in clauses:
        text += (_joint(text, clause) if text else "") + clause
    return text


def _joint(before: str, after: str) -> str:
    return "" if before[-1] >= _EAST_ASIA and after[0] >= _EAST_ASIA else " "
