"""SSML as a text with tags: `<break>` becomes a pause, `<voice>` another voice, and all other elements their text."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final
from xml.parsers import expat

from gateway.core.speech_tags import MAX_PAUSE, Tag, escape
from tritone.errors import InvalidInput

_ROOT: Final = re.compile(r"\s*(?:<\?xml[^<>]{0,200}\?>\s*)?<speak\b")
_TIME: Final = re.compile(r"\+?(\d{0,6}(?:\.\d{1,6})?)(ms|s)")
_STRENGTHS: Final = {"none": 0, "x-weak": 0, "weak": 250, "medium": 500, "strong": 1000, "x-strong": 1500}
"""Milliseconds of a break without a time."""
_LINES: Final = frozenset({"p", "s", "speak"})
"""Elements that stand alone."""
_SILENT: Final = frozenset({"desc", "metadata", "meta", "lexicon"})
"""Elements whose text is not spoken."""
_SPELT: Final = frozenset({"characters", "spell-out"})
_SPACES: Final = re.compile(r"\s+")


def is_ssml(text: str) -> bool:
    """Return whether a text is an SSML document."""
    return _ROOT.match(text) is not None


def tagged(document: str, tags: Collection[Tag], voice: str) -> str:
    """Return the text of an SSML document, with `[pause 500ms]` and, if it is among `tags`, `[voice:NAME]`.

    `voice`: the request's, to which a `<voice>` returns at its end. Raises `InvalidInput` for `text` with the line.
    """
    return _Reader(tags, voice).read(document)


class _Reader:
    """Reads one document."""

    def __init__(self, tags: Collection[Tag], voice: str) -> None:
        self._tags = tags
        self._voices = [voice]
        self._parts: list[str] = []
        self._unspoken = 0
        """Open elements whose text is not spoken."""
        self._spelt = 0
        """Open elements whose text is spelt out."""
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._open: list[tuple[str, dict[str, str]]] = []

    def read(self, document: str) -> str:
        try:
            self._parser.Parse(document.strip().encode(errors="replace"), True)
        except expat.ExpatError as error:
            raise InvalidInput("text", f"it is no valid SSML: {error}") from None
        lines = "".join(self._parts).split("\n")
        return "\n".join(line for each in lines if (line := _SPACES.sub(" ", each).strip()))

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
        elif name == "voice" and "voice" in self._tags:
            self._voices.pop()
            self._parts.append(f" [voice:{self._voices[-1]}] ")

    def _text(self, text: str) -> None:
        if self._unspoken:
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
