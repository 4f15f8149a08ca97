"""Tags in a text to speak: `[pause 500ms]` is silence, `[voice:af_bella]` changes the voice.

`[prosody 1.2 0.5]`, the speed and the volume of what follows, is what SSML becomes; clients' texts have no such tag.

A backslash before a tag makes it text: `\\[pause 500ms]`. Everything else in brackets is text anyway. The forms with a
colon are those of Kokoro-FastAPI.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tritone.errors import InvalidInput

Tag = Literal["pause", "voice", "prosody"]
TAGS: Final[tuple[Tag, ...]] = ("pause", "voice", "prosody")

MAX_PAUSE: Final = 10.0
"""Seconds of one pause."""
MAX_SILENCE: Final = 600.0
"""Seconds of all pauses of a text."""

_NAME_CHARS: Final = 200
_PATTERNS: Final[dict[Tag, str]] = {
    "pause": r"\[pause[ :] ?(?P<number>\d{1,6}(?:\.\d{1,6})?) ?(?P<unit>ms|s)\]",
    "prosody": r"\[prosody (?P<speed>\d{1,3}(?:\.\d{1,6})?) (?P<volume>\d{1,3}(?:\.\d{1,6})?)\]",
    "voice": rf"\[voice: ?(?P<name>[^\s\[\]][^\[\]\n]{{0,{_NAME_CHARS - 1}}})\]",
}
_FIRST: Final = "["
"""The first character of every tag."""
_BEGINNINGS: Final[dict[Tag, str]] = {"pause": "[pause", "voice": "[voice:", "prosody": "[prosody"}
_UNFINISHED: Final = re.compile(rf"\\?\[[^\[\]\n]{{0,{_NAME_CHARS + 7}}}\Z|\\\Z")


@dataclass(frozen=True)
class Pause:
    """Silence of so many seconds."""

    seconds: float


@dataclass(frozen=True)
class VoiceTag:
    """The voice of what follows. `position`: the tag's first character, counted from 1."""

    name: str
    position: int


@dataclass(frozen=True)
class Prosody:
    """The speed and the amplitude of what follows, as factors of the request's own."""

    speed: float = 1.0
    volume: float = 1.0

    @property
    def tag(self) -> str:
        """The tag."""
        return f"[prosody {self.speed:.6g} {self.volume:.6g}]"


PLAIN: Final = Prosody()

Part = str | Pause | VoiceTag | Prosody
"""A part of a text with tags."""


class TagReader:
    """Finds the tags in a text that comes in pieces of any length."""

    def __init__(self, tags: Collection[Tag] = TAGS) -> None:
        """`tags`: the kinds to find; others are text, with their backslashes."""
        self._pattern = _pattern(tags)
        self._beginnings = [_BEGINNINGS[tag] for tag in TAGS if tag in tags]
        self._held = ""
        self._released = 0
        self._silence = 0.0

    def add(self, text: str) -> Iterator[Part]:
        """Yield what is complete with `text`, in order. Raises `InvalidInput` for a pause that is too long."""
        buffer, self._held, end = self._held + text, "", 0
        for match in self._pattern.finditer(buffer) if self._beginnings else ():
            if before := buffer[end : match.start()]:
                yield before
            end = match.end()
            yield match[0][1:] if match["escape"] else self._tag(match)
        rest = buffer[end:]
        unfinished = _UNFINISHED.search(rest)
        if unfinished and self._may_be_a_tag(unfinished[0].removeprefix("\\").lower()):
            rest, self._held = rest[: unfinished.start()], unfinished[0]
        self._released += len(buffer) - len(self._held)
        if rest:
            yield rest

    def finish(self) -> str:
        """Return the rest, which is text."""
        rest, self._held = self._held, ""
        return rest

    def _may_be_a_tag(self, start: str) -> bool:
        return any(start.startswith(each) or each.startswith(start) for each in self._beginnings)

    def _tag(self, match: re.Match[str]) -> Pause | VoiceTag | Prosody:
        position = self._released + match.start() + 1
        groups = match.groupdict()
        if name := groups.get("name"):
            return VoiceTag(name.strip(), position)
        if groups.get("speed"):
            return Prosody(float(groups["speed"]), float(groups["volume"]))
        seconds = float(groups["number"]) / (1000 if groups["unit"].lower() == "ms" else 1)
        self._silence += seconds
        if seconds > MAX_PAUSE:
            raise InvalidInput("text", f"the pause at character {position} is too long; at most {MAX_PAUSE:g} s")
        if self._silence > MAX_SILENCE:
            raise InvalidInput("text", f"its pauses are {self._silence:g} s together; at most {MAX_SILENCE:g} s")
        return Pause(seconds)


def parse(text: str, tags: Collection[Tag] = TAGS) -> list[Part]:
    """Return the parts of a whole text. Raises `InvalidInput` for a pause that is too long."""
    if _FIRST not in text:
        return [text] if text else []
    reader = TagReader(tags)
    parts = [*reader.add(text), reader.finish()]
    return [part for part in parts if part != ""]


def escape(text: str, tags: Collection[Tag] = TAGS) -> str:
    """Return a text that is spoken as `text`, whatever is in it, where `tags` are found."""
    return _pattern(tags).sub(r"\\\g<0>", text)


def _pattern(tags: Collection[Tag]) -> re.Pattern[str]:
    return re.compile(rf"(?P<escape>\\?)(?:{'|'.join(_PATTERNS[tag] for tag in TAGS if tag in tags)})", re.IGNORECASE)
