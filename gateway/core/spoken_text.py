"""Cut a text that is still being written into pieces to speak: sentences, and the first clause of a long one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from sentence_stream import SentenceBoundaryDetector

from gateway.core.speech_options import expected_seconds
from tritone.markup import remove_markup
from tritone.text_parts import PART_CHARS, split_text

Split = Literal["none", "sentence", "clause"]
"""Where a text is cut: nowhere but at `most` characters; after each sentence; also in a long first sentence."""

_FIRST_SECONDS: Final = 4.0
"""Speech in the text, 60 letters, after which the first clause of the first sentence is spoken alone."""
_LOOKED_AT: Final = 1000
"""Characters that are looked through at once: the time for a text at once grows with the square of its length."""
_CLAUSE_ENDS: Final = re.compile(r"[,;:](?=\s)|[，、；：]")
_FENCE: Final = re.compile(r"\s*(?:```|~~~)")
_LINE_START: Final = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•]\s+(?=\S)|>\s*)+")
_MARKS: Final = re.compile(r"\*+(?=\S)|(?<=\S)\*+|`+|~~|(?<!\w)_{1,3}(?=\w)|(?<=[\w.!?])_{1,3}(?!\w)")
_SPACES: Final = re.compile(r"\s+")


class ClauseCutter:
    """Takes a text in pieces of any length, and returns the parts to speak, in plain words: Markdown and code removed.

    Each line is a part of its own, because a model that writes breaks lines only at the end of a paragraph or of an
    item. A part without a letter, such as the number of an item, waits for the next one.
    """

    def __init__(self, most: int = PART_CHARS, split: Split = "clause") -> None:
        """`most`: characters of a part."""
        self._most = most
        self._split = split
        self._detector = SentenceBoundaryDetector()
        self._held = ""
        self._whole = ""
        self._in_code = False
        self._begun = False

    def add(self, text: str) -> Iterator[str]:
        """Yield the parts that are complete with `text`."""
        if self._split == "none":
            self._whole += text
            return
        for start in range(0, len(text), _LOOKED_AT):
            yield from self._add(text[start : start + _LOOKED_AT])

    def _add(self, text: str) -> Iterator[str]:
        # The detector ends a sentence at an empty line.
        for sentence in self._detector.add_chunk(text.replace("\n", "\n\n")):
            yield from self._parts(sentence)
        waiting = self._detector.current_sentence + self._detector.remaining_text
        if len(waiting) > self._most:
            *complete, rest = split_text(waiting, self._most)
            yield from self._cut(complete, rest + waiting[len(waiting.rstrip()) :])
        elif (
            self._split == "clause"
            and not self._begun
            and not self._in_code
            and expected_seconds(waiting) > _FIRST_SECONDS
        ):
            for end in [match.end() for match in _CLAUSE_ENDS.finditer(waiting)][-1:]:
                yield from self._cut([waiting[:end]], waiting[end:])

    def finish(self) -> Iterator[str]:
        """Yield the rest; text that is added later begins a new part."""
        if self._split == "none":
            whole, self._whole = self._whole, ""
            lines = [plain for line in whole.splitlines() if (plain := _plain(line))]
            if any(letter.isalnum() for line in lines for letter in line):
                yield from split_text("\n".join(lines), self._most)
            return
        yield from self._parts(self._detector.finish())
        if any(letter.isalnum() for letter in self._held):
            yield self._held
        self._held = ""

    @property
    def _cuts_clauses(self) -> bool:
        return self._split == "clause" and not self._begun and not self._in_code

    def _cut(self, complete: Iterable[str], rest: str) -> Iterator[str]:
        self._detector.current_sentence = ""
        self._detector.remaining_text = rest
        for part in complete:
            yield from self._parts(part)

    def _parts(self, sentence: str) -> Iterator[str]:
        for line in sentence.splitlines():
            if _FENCE.match(line):
                self._in_code = not self._in_code
            elif not self._in_code and (plain := _plain(line)):
                self._held = f"{self._held} {plain}".strip()
                if any(letter.isalpha() for letter in plain):
                    self._begun = True
                    spoken, self._held = self._held, ""
                    yield from split_text(spoken, self._most)


def _plain(line: str) -> str:
    text = _LINE_START.sub("", remove_markup(line))
    return _SPACES.sub(" ", _MARKS.sub("", text.replace("|", " "))).strip()
