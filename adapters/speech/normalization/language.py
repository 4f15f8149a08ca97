"""Words of a language for the signs that its texts write, and the forms of its numbers."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Noun:
    """A noun in both numbers, with its gender where it changes the number before it."""

    one: str
    many: str
    feminine: bool = False

    @staticmethod
    def of(text: str) -> Noun:
        """Return the noun of an entry of languages.toml."""
        names = text.removeprefix("f:").split("|")
        return Noun(names[0], names[-1], text.startswith("f:"))


@dataclass(frozen=True)
class Language:
    """A language of languages.toml."""

    code: str
    words: dict[str, str]
    months: tuple[str, ...]
    short_months: dict[str, int]
    """Abbreviation of a month, without its full stop -> its number."""
    days: dict[str, str]
    """Abbreviation of a weekday, without its full stop -> its name."""
    magnitudes: tuple[str, ...]
    """Thousand, million, billion and trillion, after a number."""
    money: dict[str, tuple[Noun, Noun]]
    """Sign or code of a currency -> its unit and the hundredth of it."""
    units: dict[str, Noun]
    rates: dict[str, str]
    """The nouns that may follow a slash after a unit or an amount, besides units: a day, a person."""
    fractions: dict[int, Noun]
    number: str
    """Pattern of a number as the language writes it, without a sign; every repetition in it is bounded."""

    def plain(self, number: str) -> str:
        """Return a number without the marks between its thousands, and with a point before its decimals."""
        if self.code in _COMMA_DECIMALS:
            if "," not in number and not re.fullmatch(r"\d{1,3}(?:[. ]\d{3})+", number):
                return number.replace(" ", "")
            return number.replace(" ", "").replace(".", "").replace(",", ".")
        return number.replace(",", "")

    def written(self, number: str) -> str:
        """Return a number of `plain` with the decimal mark of the language."""
        return number.replace(".", ",") if self.code in _COMMA_DECIMALS else number

    def count(self, number: str, noun: Noun) -> str:
        """Return `number` (of `plain`) with the noun in its form."""
        name = noun.one if self._is_singular(number) else noun.many
        return f"{self.agreed(number, noun.feminine)} {self._of_million(number, name)}{name}"

    def _of_million(self, number: str, name: str) -> str:
        """Return the "of" between whole millions and the thing counted, where the language has one."""
        if not self.words["of"] or not number.isdigit() or int(number) % 1_000_000 or not int(number):
            return ""
        return self.of(name)

    def of(self, name: str) -> str:
        """Return the "of" before a name, with its space: de, d', di; empty where the language has none."""
        if self.code == "fr" and name[0] in "aeiouhéè":
            return "d'"
        return f"{self.words['of']} " if self.words["of"] else ""

    def agreed(self, number: str, feminine: bool = False) -> str:
        """Return a number (of `plain`) before a noun: its digits, or its word where it has a gender."""
        forms = _AGREEMENT.get(self.code, {}).get(number)
        return forms[feminine] if forms else self.written(number)

    def _is_singular(self, number: str) -> bool:
        if self.code in ("fr", "pt"):
            return float(number) < 2
        return number == "1"


_COMMA_DECIMALS = ("es", "fr", "pt", "it")
_AGREEMENT = {
    "es": {"1": ("un", "una"), "21": ("veintiún", "veintiuna"), "31": ("treinta y un", "treinta y una")},
    "fr": {"1": ("un", "une"), "21": ("vingt et un", "vingt et une")},
    "pt": {
        "1": ("um", "uma"), "2": ("dois", "duas"), "21": ("vinte e um", "vinte e uma"),
        "22": ("vinte e dois", "vinte e duas"),
    },
    "it": {"1": ("un", "una"), "21": ("ventuno", "ventuno")},
}  # fmt: skip
"""Language -> the numbers that change with the gender of the next noun, masculine and feminine."""
_POINTS = r"\d{1,3}(?:\.\d{3}){1,6}(?:,\d{1,15})?(?![\d.,]?\d)|\d{1,15}(?:[.,]\d{1,15})?"
_SPACES = r"\d{1,3}(?:[ .]\d{3}){1,6}(?:,\d{1,15})?(?!\d)|\d{1,15}(?:[.,]\d{1,15})?"
_COMMAS = r"\d{1,3}(?:,\d{2,3}){1,6}(?:\.\d{1,15})?(?!\d)|\d{1,15}(?:\.\d{1,15})?"
_NUMBERS = {"es": _POINTS, "pt": _POINTS, "it": _POINTS, "fr": _SPACES}


@cache
def _entries() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "languages.toml").read_text("utf-8"))


@cache
def find_language(code: str) -> Language | None:
    """Return the language with a code such as `en`; None if no rules exist for it."""
    if code not in _entries():
        return None
    entry = dict(_entries()[code])
    money = {}
    for sign, text in entry.pop("money").items():
        names = text.removeprefix("f:").split("|")
        money[sign] = (Noun(names[0], names[1], text.startswith("f:")), Noun(names[2], names[3]))
    return Language(
        code=code,
        months=tuple(entry.pop("months")),
        short_months=entry.pop("short_months"),
        days=entry.pop("days"),
        magnitudes=tuple(entry.pop("million")),
        money=money,
        units={symbol: Noun.of(text) for symbol, text in entry.pop("units").items()},
        rates=entry.pop("rates"),
        fractions={int(n): Noun.of(text) for n, text in entry.pop("fractions").items()},
        words=entry,
        number=f"(?:{_NUMBERS.get(code, _COMMAS)})",
    )
