"""Abbreviated weekdays and months written out, where a date, a time or another such name shows what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from adapters.speech.normalization.language import Language, find_language

_NO_END = r"(?!\s*$|\s+[A-ZÀ-Ý])"


def write_out(text: str, language: Language) -> str:
    """Return `text` with Mon 5, lun.-ven., 3 feb. 2020, Jan–Mar and the like in full."""
    return _rules(language.code).write_out(text)


@cache
def _rules(code: str) -> _CalendarRules:
    language = find_language(code)
    assert language is not None
    return _CalendarRules(language)


class _CalendarRules:
    """The patterns of one language. English names need a capital, those of other languages a full stop or a year."""

    def __init__(self, language: Language) -> None:
        names = dict(language.days)
        names |= {short: language.months[number - 1] for short, number in language.short_months.items()}
        english = language.code == "en"
        self._names = names if english else {short.lower(): name for short, name in names.items()}
        self._to = language.words["to"]
        day, month = _any_of(language.days, english), _any_of(language.short_months, english)
        between = rf"(?:\.? ?[-–] ?|{'' if english else '[.]'} {self._to} )"
        self._spans = [re.compile(rf"(?<!\w)({each}){between}({each})(?:\.{_NO_END}|(?!\w))") for each in (day, month)]
        dated = "|".join([*map(re.escape, language.months), month, "/"])
        dot, dated = (r"\.?", "") if english else (r"\.", rf"(?= (?:{dated})|/|(?:er|º|°)?(?: de)? (?:{dated}))")
        self._day = re.compile(
            rf"(?<!\w)({day})(?:{dot}(?=,? \d{{1,2}}(?!\d){dated})|\.(?=,? (?:at|às|das|a las|à|alle|ore|de|en|को)\b))"
        )
        after = r"(?![\w.])" if english else r"(?= (?:de )?\d{4})"
        self._month = re.compile(rf"(?<![\w.,/-])(\d{{1,2}}(?:er|º|°)?(?: de)? )({month})(?:\.{_NO_END}|{after})")

    def write_out(self, text: str) -> str:
        """Return `text` with its abbreviated names in full."""
        for span in self._spans:
            text = span.sub(lambda m: f"{self._name(m[1])} {self._to} {self._name(m[2])}", text)
        text = self._day.sub(lambda m: self._name(m[1]), text)
        return self._month.sub(lambda m: m[1] + self._name(m[2]), text)

    def _name(self, short: str) -> str:
        return self._names.get(short) or self._names[short.lower()]


def _any_of(names: Iterable[str], english: bool) -> str:
    forms = set(names) if english else {form for name in names for form in (name, name.capitalize())}
    return "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
