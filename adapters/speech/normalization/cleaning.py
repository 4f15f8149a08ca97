"""Characters and lines: unreadable characters removed, the marks of English text, and single newlines and spaces."""

# ruff: noqa: RUF001  (marks of other scripts look like ours)

from __future__ import annotations

import re
import unicodedata

Replacements = tuple[tuple[str, str], ...]

MOST_ACCENTS = 4
"""The most combining marks that are kept in a row; sorting more of them takes quadratic time."""
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
_WIDE = str.maketrans(
    {"：": ":", "．": ".", "％": "%", "＋": "+", "－": "-", "＝": "=", "／": "/", "～": "~", "￥": "¥", "＄": "$"}
)
"""The wide signs beside digits."""
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
"""A wide digit, or one of another script: the rules read ASCII digits alone."""
_SEVERAL = re.compile(r"[\u2160-\u217f\u2460-\u249b\u3371-\u33df]")
"""Roman numerals and units in one character, and numbers in circles, in parentheses, or with a full stop."""
_WIDE_NEAR_DIGITS = re.compile(r"[：．％＋－＝／～￥＄，]")
_ENDS = ".,;:!?…—。！？，；：।"
_BULLET = re.compile(r"(?:[-•·–—*+]|#{1,6}) +")
_COMPOSED = {
    "²": "2",
    "³": "3",
    "¹": "1",
    "⁰": "0",
    "⁴": "4",
    "⁵": "5",
    "⁶": "6",
    "⁷": "7",
    "⁸": "8",
    "⁹": "9",
    "⁻": "-",
}
RAISED = str.maketrans(_COMPOSED)
"""Superscript digits -> digits."""
_TIDY: Replacements = (
    (r"(?<=“) | (?=”)", ""),
    (r"\.{2,}", "…"),
    (r"([!?,;:…])\1+", r"\1"),
    (r" ?--+ ?| [–—]+ | - ", " — "),
)
_SPACES: Replacements = (
    (r"[^\S\n]+", " "),
    (r" (?=[.,;:!?…](?:[\s”\")]|$))", ""),
)


def collapse_spaces(text: str) -> str:
    """Return `text` with one space in place of each run of spaces, tabs and the like; newlines stay."""
    return re.sub(r"[^\S\n]+", " ", re.sub(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]", "\n", text))


def join_lines(text: str) -> str:
    """Join the lines of a wrapped sentence; end every other line with a mark and a newline, and drop its bullet.

    The spaces of `text` must be collapsed.
    """
    joined = ""
    parts: list[str] = []
    follows = False
    for line in text.split("\n"):
        stripped = line.strip()
        bullet = _BULLET.match(stripped)
        if bullet:
            stripped = stripped[bullet.end() :]
        if not stripped:
            follows = False
            continue
        if parts:
            wrapped = follows and not bullet and re.match("[a-zà-ÿ]", stripped)
            joined = " " if wrapped else "\n" if parts[-1][-1] in _ENDS else ".\n"
        parts.extend((joined, stripped))
        follows = True
    if parts and text.endswith("\n") and parts[-1][-1] not in _ENDS:
        parts.append(".")
    return "".join(parts)


def fold_digits(text: str) -> str:
    """Return `text` with ASCII digits, and with ASCII signs where a digit stands beside a wide one."""
    text = text.replace("\u2011", "-").replace("\u2044", "/")
    text = _OTHER_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text)
    text = _SEVERAL.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)

    def fold(match: re.Match[str]) -> str:
        before = text[match.start() - 1 : match.start()]
        after = text[match.end() : match.end() + 1]
        if match[0] == "，":
            thousands = re.match(r"\d{3}(?!\d)", text[match.end() : match.end() + 4])
            return "," if before.isdigit() and thousands else "，"
        beside = after.isdigit() if match[0] in "￥＄" else before.isdigit() or (match[0] in "＋－" and after.isdigit())
        return match[0].translate(_WIDE) if beside and (after.isdigit() or match[0] not in "：．") else match[0]

    return _WIDE_NEAR_DIGITS.sub(fold, text)


def clean(text: str) -> str:
    """Return `text` in composed characters, with the marks of English text, without unreadable characters."""
    text = unicodedata.normalize("NFKC", _few_accents(text).translate(_MARKS))
    return "".join(_readable(char) for char in text)


def tidy(text: str) -> str:
    """Return `text` with single marks and spaces."""
    return rewrite(rewrite(collapse_spaces(text), _TIDY), _SPACES).strip()


def rewrite(text: str, replacements: Replacements) -> str:
    """Apply replacements in order."""
    for pattern, replacement in replacements:
        text = re.sub(pattern, replacement, text)
    return text


def _few_accents(text: str) -> str:
    kept = []
    run = 0
    for char in text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= MOST_ACCENTS:
            kept.append(char)
    return "".join(kept)


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
