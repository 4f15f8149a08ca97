"""Numbers with spaces, or the marks of another language, between their thousands: 10 000, 1,234,567 and 1.234,50."""

from __future__ import annotations

import re

_ALONE, _END = r"(?<![A-Za-z\d.,:/+-])(?<!\d )", r"(?!\d| \d|-\d)"
_PHONE = r"(?![36789]\d\d \d{3} \d{3}(?!\d| \d))"
"""Begins a pattern that leaves out telephone numbers in three groups, as in Spain, Portugal and Italy."""
_FRENCH = re.compile(rf"{_ALONE}[1-9]\d{{0,2}}(?: \d{{3}}){{1,4}}{_END}")
_SPANISH = re.compile(_PHONE + _FRENCH.pattern)
_ENGLISH = re.compile(
    rf"{_ALONE}[1-9](?:\d?(?: \d{{3}}){{2,4}}|\d{{0,2}}(?: \d{{3}}){{0,3}} 000"
    rf"|\d{{0,2}}(?: \d{{3}}){{1,4}}(?=\.\d\d(?!\d)| ?[$€£¥₹])){_END}"
)
"""Where spaces are rare, two numbers may stand side by side: only clear cases are one number."""
_SPACES = {"fr": _FRENCH, "es": _SPANISH, "pt": _SPANISH, "it": _SPANISH}
_WITH_POINTS = re.compile(r"(?<![A-Za-z\d.,])[1-9]\d{0,2}(?:\.\d{3}){1,5},\d{1,15}(?![A-Za-z\d]|[.,]\d)")
_WITH_COMMAS = re.compile(r"(?<![A-Za-z\d.,])\d{1,3}(?:(?:,\d{3}){1,5}\.\d{1,15}|(?:,\d{3}){2,5})(?![A-Za-z\d]|[.,]\d)")


def join(text: str, language: str) -> str:
    """Return `text` with such numbers as the language writes them, without marks between their thousands."""
    text = _SPACES.get(language, _ENGLISH).sub(lambda m: m[0].replace(" ", ""), text)
    if language in _SPACES:
        return _WITH_COMMAS.sub(lambda m: m[0].replace(",", "").replace(".", ","), text)
    return _WITH_POINTS.sub(lambda m: m[0].replace(".", "").replace(",", "."), text)
