"""SSML as a text with tags: a `<break>` becomes a pause, a `<voice>` another voice, a `<prosody>` another speed.

Elements that are not known here become their text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from xml.parsers import expat

from gateway.core.speech_options import SPEEDS
from gateway.core.speech_tags import MAX_PAUSE, Prosody, Tag, escape
from tritone.errors import InvalidInput
from tritone.pronunciation import pronounce

_ROOT: Final = re.compile(r"\s*(?:<\?xml[^<>]{0,200}\?>\s*)?<speak\b")
_TIME: Final = re.compile(r"\+?(\d{0,6}(?:\.\d{1,6})?)(ms|s)")
_STRENGTHS: Final = {"none": 0, "x-weak": 0, "weak": 250, "medium": 500, "strong": 1000, "x-strong": 1500}
"""Milliseconds of a break without a time."""
_LINES: Final = frozenset({"p", "s", "speak"})
"""Elements that stand alone."""
_SILENT: Final = frozenset({"desc", "metadata", "meta", "lexicon"})
"""Elements whose text is not spoken."""
_SPELT: Final = frozenset({"characters", "spell-out", "digits", "verbatim"})
_RATES: Final = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
_VOLUMES: Final = {
    "silent": 0.0, "x-soft": 0.25, "soft": 0.5, "medium": 1.0, "default": 1.0, "loud": 1.5, "x-loud": 2.0,
}  # fmt: skip
_MOST_VOLUME: Final = 10.0
_NUMBER: Final = re.compile(r"([+-]?\d{1,4}(?:\.\d{1,4})?)(%|dB|)", re.IGNORECASE)
_MOST_IPA_CHARS: Final = 200
_SPACES: Final = re.compile(r"\s+")


def is_ssml(text: str) -> bool:
    """Return whether a text is an SSML document."""
    return _ROOT.match(text) is not None


@dataclass(frozen=True)
class TaggedDocument:
    """The text of an SSML document."""

    text: str
    ignored: tuple[str, ...]
    """What it asks for that has no effect: `phoneme`, `prosody.pitch`."""


def tagged(document: str, tags: Collection[Tag], voice: str, *, pronounces: bool) -> TaggedDocument:
    """Return the text of an SSML document, with `[pause 500ms]` and, if they are among `tags`, the other tags.

    `voice`: the request's, to which a `<voice>` returns at its end. `pronounces`: the model speaks the IPA. Raises
    `InvalidInput` for `text` with the line.
    """
    return _Reader(tags, voice, pronounces=pronounces).read(document)


class _Reader:
    """Reads one document."""

    def __init__(self, tags: Collection[Tag], voice: str, *, pronounces: bool) -> None:
        self._tags = tags
        self._pronounces = pronounces
        self._voices = [voice]
        self._prosodies = [Prosody()]
        self._ignored: list[str] = []
        self._parts: list[str] = []
        self._unspoken = 0
        """Open elements whose text is not spoken."""
        self._spelt = 0
        """Open elements whose text is spelt out."""
        self._phoneme: str | None = None
        """The IPA of the open `<phoneme>`; its text is `_word`."""
        self._word = ""
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._open: list[tuple[str, dict[str, str]]] = []

    def read(self, document: str) -> TaggedDocument:
        try:
            self._parser.Parse(document.strip().encode(errors="replace"), True)
        except expat.ExpatError as error:
            raise InvalidInput("text", f"it is no valid SSML: {error}") from None
        lines = "".join(self._parts).split("\n")
        text = "\n".join(line for each in lines if (line := _SPACES.sub(" ", each).strip()))
        return TaggedDocument(text, tuple(dict.fromkeys(self._ignored)))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2].lower()
        self._open.append((name, attributes))
        if name in _LINES:
            self._parts.append("\n")
        elif name == "break":
            if milliseconds := self._milliseconds(attributes):
                self._parts.append(f" [pause {milliseconds}ms] ")
        elif name == "sub" and attributes.get("alias"):
            self._text(attributes["alias"])
            self._unspoken += 1
        elif name in _SILENT:
            self._unspoken += 1
        elif name == "say-as":
            self._spelt += attributes.get("interpret-as") in _SPELT
        elif name == "prosody":
            self._change_prosody(attributes)
        elif name == "phoneme" and not self._unspoken:
            self._begin_phoneme(attributes)
        elif name == "voice" and "voice" in self._tags:
            self._change_voice(attributes.get("name", "").strip() or self._voices[-1])

    def _end(self, _name: str) -> None:
        name, attributes = self._open.pop()
        if name in _LINES:
            self._parts.append("\n")
        elif name in _SILENT or (name == "sub" and attributes.get("alias")):
            self._unspoken -= 1
        elif name == "say-as":
            self._spelt -= attributes.get("interpret-as") in _SPELT
        elif name == "prosody":
            self._prosodies.pop()
            self._add_prosody()
        elif name == "phoneme":
            self._end_phoneme()
        elif name == "voice" and "voice" in self._tags:
            self._voices.pop()
            self._parts.append(f" [voice:{self._voices[-1]}] ")

    def _text(self, text: str) -> None:
        if self._unspoken:
            return
        if self._phoneme is not None:
            self._word += text
            return
        if self._spelt:
            text = ", ".join(letter for letter in text if not letter.isspace())
        # A line break in the document is a space.
        self._parts.append(escape(text.replace("\n", " "), self._tags))

    def _change_voice(self, name: str) -> None:
        if not self._voices[0]:
            raise InvalidInput("voice", "SSML's <voice> needs it, to return to it at its end")
        if not re.fullmatch(r"[^\[\]\n]{1,200}", name):
            raise self._error(f"{name[:64]!r} is no name of a voice")
        self._voices.append(name)
        self._parts.append(f" [voice:{name}] ")

    def _change_prosody(self, attributes: dict[str, str]) -> None:
        self._ignored += [f"prosody.{name}" for name in ("pitch", "contour", "range") if name in attributes]
        speed = self._factor(attributes, "rate", _RATES)
        volume = self._factor(attributes, "volume", _VOLUMES)
        outer = self._prosodies[-1]
        new = Prosody(outer.speed * speed, outer.volume * volume)
        least, most = SPEEDS
        if not least <= new.speed <= most:
            raise self._error(f"a rate of {new.speed:g} times the voice's; {least:g} to {most:g} are possible")
        if new.volume > _MOST_VOLUME:
            raise self._error(f"a volume of {new.volume:g} times the voice's; at most {_MOST_VOLUME:g} is possible")
        self._prosodies.append(new)
        self._add_prosody()

    def _add_prosody(self) -> None:
        if "prosody" in self._tags:
            self._parts.append(f" {self._prosodies[-1].tag} ")

    def _factor(self, attributes: dict[str, str], name: str, words: dict[str, float]) -> float:
        """Return the factor that an attribute stands for: a word, a number, `80%`, `+20%`, or `+6dB` of a volume."""
        given = attributes.get(name, "default").strip()
        if given in words:
            return words[given]
        match = _NUMBER.fullmatch(given)
        unit = match[2].lower() if match else ""
        if not match or (unit == "db" and name == "rate") or (not unit and name == "volume"):
            raise self._error(
                f"the {name} {given[:64]!r} is unknown; choose from: {', '.join(words)}, or such as `+20%`"
            )
        number, is_relative = float(match[1]), match[1][0] in "+-"
        if unit == "db":
            return 10 ** (number / 20)
        if unit:
            number /= 100
        return max(1 + number if is_relative else number, 0.0)

    def _begin_phoneme(self, attributes: dict[str, str]) -> None:
        ipa = _SPACES.sub(" ", attributes.get("ph", "")).strip()
        alphabet = attributes.get("alphabet", "ipa")
        if not self._pronounces:
            self._ignored.append("phoneme")
        elif alphabet != "ipa":
            raise self._error(f"the alphabet {alphabet[:64]!r} of a phoneme is unknown; choose `ipa`")
        elif not ipa or len(ipa) > _MOST_IPA_CHARS:
            raise self._error(f"a phoneme needs `ph`, its pronunciation in 1 to {_MOST_IPA_CHARS} characters")
        else:
            self._phoneme, self._word = ipa, ""

    def _end_phoneme(self) -> None:
        if self._phoneme is not None:
            ipa, self._phoneme = self._phoneme, None
            self._parts.append(pronounce(_SPACES.sub(" ", self._word).strip(), ipa))

    def _milliseconds(self, attributes: dict[str, str]) -> int:
        if "time" not in attributes:
            strength = attributes.get("strength", "medium")
            if strength not in _STRENGTHS:
                raise self._error(f"the strength {strength[:64]!r} is unknown; choose from: {', '.join(_STRENGTHS)}")
            return _STRENGTHS[strength]
        match = _TIME.fullmatch(attributes["time"].strip())
        if not match or not match[1]:
            raise self._error(f"the time {attributes['time'][:64]!r} of a break is none such as `500ms` or `1.5s`")
        milliseconds = round(float(match[1]) * (1 if match[2] == "ms" else 1000))
        if milliseconds > MAX_PAUSE * 1000:
            raise self._error(f"a break of {milliseconds} ms is too long; at most {MAX_PAUSE:g} s")
        return milliseconds

    def _doctype(self, *_declaration: Any) -> None:
        raise self._error("a document type is not allowed")

    def _error(self, problem: str) -> InvalidInput:
        return InvalidInput("text", f"SSML, line {self._parser.CurrentLineNumber}: {problem}")
