"""Text normalization: unreadable characters removed, abbreviations written out."""

# ruff: noqa: RUF001  (marks of other scripts look like ours)

from __future__ import annotations

import re
import unicodedata

Replacements = tuple[tuple[str, str], ...]

_MARKS = str.maketrans(
    {
        "，": ", ", "、": ", ", "。": ". ", "．": ". ", "！": "! ", "？": "? ", "：": ": ", "；": "; ",
        "「": " “", "」": "” ", "『": " “", "』": "” ", "《": " “", "》": "” ", "【": " “", "】": "” ",
        "（": " (", "）": ") ", "[": "(", "]": ")", "{": "(", "}": ")", "«": "“", "»": "”", "„": "“",
        "‘": "'", "’": "'", "।": ". ", "॥": ". ", "―": "—", "|": ", ",
        "*": " ", "`": " ", "~": " ", "_": " ", "^": " ", "\\": " ",
    }
)  # fmt: skip
"""Marks of other scripts and of Markdown -> the marks of English text, which speech models know."""

_LINES: Replacements = (
    (r"(?m)^[ \t]*(?:[-•·–—*+]|#{1,6})[ \t]+", "\n"),  # bullets and headings
    (r"(?<!\n)\n[ \t]*(?=[a-zà-ÿ])", " "),  # a line break inside a sentence
    (r"(?<=[^\s.,;:!?…—。！？，；：।])[ \t]*\n\s*", ".\n"),  # the end of a line without a mark
    (r"\s*\n\s*", "\n"),
)
_TIDY: Replacements = (
    (r"(?i)\bhttps?://(?:www\.)?|\bwww\.", ""),
    (r"(?<=“) +| +(?=”)", ""),
    (r"\.{2,}", "…"),
    (r"([!?,;:…])\1+", r"\1"),
    (r" *--+ *| +[–—] +| +- +", " — "),
)
_SPACES: Replacements = (
    (r"[^\S\n]+", " "),
    (r" (?=[.,;:!?…](?:[\s”\")]|$))", ""),
)

_END = r"(?=\s+[A-Z]|\s*$)"
_LARGE = r" (?:thousand|million|billion|trillion)"
_AMOUNT = rf"(\d(?:[\d,.]*\d)?(?:{_LARGE})?)"
_ONE = rf"(?![.,]?\d|{_LARGE})"
_SHORT: dict[str, Replacements] = {
    "en": (
        (r"\bDr\.", "Doctor"), (r"\bMr\b\.?", "Mister"), (r"\bMrs\b\.?", "Missus"), (r"\bMs\b\.?", "Miz"),
        (r"\bProf\.", "Professor"), (r"\bJr\b\.?(?=[\s,])", "Junior"), (r"\bSr\b\.?(?=[\s,])", "Senior"),
        (r"\bSt\.(?= [A-Z])", "Saint"), (r"\bSt\." + _END, "Street."), (r"\bSt\.", "Street"),
        (r"\bNo\. ?(?=\d)", "number "), (r"#(?=\d)", "number "), (r"\bapprox\.", "approximately"),
        (r"(?i)\be\.g\.", "for example"), (r"(?i)\bi\.e\.", "that is"), (r"\bvs\b\.?", "versus"),
        (r"\betc\." + _END, "et cetera."), (r"\betc\.", "et cetera"),
        (r"(?<=\d) ?([AaPp])\.[Mm]\." + _END, r" \1m."), (r"(?<=\d) ?([AaPp])\.[Mm]\.", r" \1m"),
        (r"(?<=\d)–(?=\d)", " to "),
        (r"\$1" + _ONE, "1 dollar"), (r"£1" + _ONE, "1 pound"), (r"€1" + _ONE, "1 euro"),
        (r"\$(\d[\d,]*)\.(\d\d)\b", r"\1 dollars and \2 cents"),
        (r"£(\d[\d,]*)\.(\d\d)\b", r"\1 pounds \2"), (r"€(\d[\d,]*)\.(\d\d)\b", r"\1 euros \2"),
        (r"\$" + _AMOUNT, r"\1 dollars"), (r"£" + _AMOUNT, r"\1 pounds"), (r"€" + _AMOUNT, r"\1 euros"),
        (r"(?<=\d) ?km/h\b", " kilometers an hour"), (r"(?<=\d) ?mph\b", " miles an hour"),
        (r"(?<=\d) ?km\b", " kilometers"), (r"(?<=\d) ?kg\b", " kilograms"),
        (r"(?<=\d) ?cm\b", " centimeters"), (r"(?<=\d) ?mm\b", " millimeters"),
        (r"(?i)\b(in|since|until|from|by|before|after|of|year) (1[1-9])([1-9]\d)\b(?![.,]\d)", r"\1 \2 \3"),
    ),
    "es": ((r"\bSr\.", "señor"), (r"\bSra\.", "señora"), (r"\bDr\.", "doctor"), (r"\bDra\.", "doctora")),
    "fr": (
        (r"\bM\.(?= [A-ZÀ-Ý])", "monsieur"), (r"\bMme\b\.?", "madame"),
        (r"\bMlle\b\.?", "mademoiselle"), (r"\bDr\b\.?", "docteur"),
    ),
    "it": ((r"\bSig\.ra\b", "signora"), (r"\bSig\.", "signor"), (r"\bDott\.", "dottor")),
    "pt": ((r"\bSr\.", "senhor"), (r"\bSra\.", "senhora"), (r"\bDr\.", "doutor"), (r"\bDra\.", "doutora")),
}  # fmt: skip
"""Language -> its abbreviations and their full forms, where espeak-ng does not know them; applied in this order."""


def normalize(text: str, language: str) -> str:
    """Return `text` without unreadable characters, with the marks of English text, and with single newlines."""
    text = unicodedata.normalize("NFKC", _rewrite(text, _LINES).translate(_MARKS))
    text = "".join(_readable(char) for char in text)
    return _rewrite(text, _TIDY + _SHORT.get(language, ()) + _SPACES).strip()


def _rewrite(text: str, replacements: Replacements) -> str:
    for pattern, replacement in replacements:
        text = re.sub(pattern, replacement, text)
    return text


def _readable(char: str) -> str:
    """Return `char`; a space in place of emoji and other symbols; an empty text in place of zero-width characters."""
    category = unicodedata.category(char)
    if char in "\n°":
        return char
    if category in ("So", "Sk", "Cc"):
        return " "
    if category in ("Cf", "Co", "Cn", "Cs", "Me") or "\ufe00" <= char <= "\ufe0f":
        return ""
    return char
