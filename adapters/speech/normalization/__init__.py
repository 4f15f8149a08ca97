"""Text normalization: written text to text as it is read aloud."""

from __future__ import annotations

import re

from adapters.speech.normalization import abbreviations, chinese, classes, cleaning, english, thousands
from adapters.speech.normalization.language import find_language
from adapters.speech.normalization.numerals import spell_numbers
from tritone.markup import remove_markup

__all__ = ["normalize", "spell_numbers", "write_out"]


_ADDRESS = re.compile(
    r"(?i)(?<![a-z0-9_@.-])(?:https?://|www\.)[^\s<>\"”“)\]]{1,1000}(?<![.,;:!?'])"
    r"|(?<![^\W\u3400-\u9fff])(?<![@.-])(?!p\.es\b)(?:[a-z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io|dev|ai|app|co|uk|de|fr|es|it|br|in|cn|eu)"
    r"(?:/[^\s<>\"”“)\]]{0,1000}(?<![.,;:!?']))?(?![\w.]\w)"
)
_SCHEME = re.compile(r"(?i)^(?:https?://)?(?:www\.)?")
_INITIALS = re.compile(r"(?<![\w.])((?:[A-ZÀ-Ý]\.){2,6})(?P<end>\s*$|\s*\n)?(?!\w)")
_PLACE = "\ue000"
"""A character in place of each web address, which no rule changes."""


def normalize(text: str, language: str) -> str:
    """Return `text` as it is read aloud, with the marks of English text and single newlines.

    Dates, times, money, units and the like become words. Plain numbers stay digits, for a model that reads them, as
    espeak-ng does; `spell_numbers` writes them out. Chinese has no digits left. The time is linear in the length.
    """
    return cleaning.tidy(cleaning.clean(_write_out(text, language)))


def write_out(text: str, language: str) -> str:
    """Return `text` as `normalize` does, but with its own marks, for a model that knows them.

    A text in a language without rules, or in `auto`, is returned as it is.
    """
    return _write_out(text, language).strip() if language == "zh" or find_language(language) else text


def _spaced_initials(match: re.Match[str]) -> str:
    """Return S.A. and the like as letters with spaces; the end of a text or a line keeps its full stop."""
    end = match["end"]
    return " ".join(match[1].replace(".", "")) + ("" if end is None else "." + end)


def _write_out(text: str, language: str) -> str:
    text = cleaning.collapse_spaces(text.replace(_PLACE, ""))
    text = cleaning.collapse_spaces(remove_markup(text))
    text = thousands.join(cleaning.fold_digits(cleaning.join_lines(text)), language)
    addresses = iter([_SCHEME.sub("", match[0]) for match in _ADDRESS.finditer(text)])
    text = _ADDRESS.sub(_PLACE, text)
    if language == "zh":
        text = chinese.write_out(text)
    elif found := find_language(language):
        text = abbreviations.write_out(text, language)
        text = english.before_classes(text) if language == "en" else _INITIALS.sub(_spaced_initials, text)
        text = classes.write_out(text, found)
        if language == "en":
            text = english.after_classes(text)
    return re.sub(_PLACE, lambda _: next(addresses), text)
