"""Roman numerals."""

from __future__ import annotations

import re

_FORM = re.compile("(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def number_of(roman: str) -> int:
    """Return the number of a roman numeral in capitals; 0 for letters that are none."""
    if not _FORM.fullmatch(roman):
        return 0
    values = [_VALUES[letter] for letter in roman]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )
