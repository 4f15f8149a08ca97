"""Amounts of money."""

# ruff: noqa: RUF001  (the minus sign looks like a hyphen)

from __future__ import annotations

import re

from adapters.speech.normalization.language import Language, Noun

_CODES = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "BRL": "R$", "INR": "₹", "CAD": "C$", "AUD": "A$", "KRW": "₩",
    "MXN": "MX$", "CNY": "CNY", "RMB": "CNY", "RUB": "₽",
}  # fmt: skip
_SHORT_MAGNITUDES = {
    "k": 0,
    "K": 0,
    "M": 1,
    "m": 1,
    "mm": 1,
    "MM": 1,
    "mn": 1,
    "mio": 1,
    "mi": 1,
    "bi": 2,
    "B": 2,
    "b": 2,
    "bn": 2,
    "Bn": 2,
    "Md": 2,
    "mld": 2,
    "T": 3,
    "tn": 3,
    "tri": 3,
}
_LONG_MAGNITUDES = {
    "en": "thousand|million|billion|trillion|lakh|crore", "es": "mil|mill[oó]n|millones|mil millones|billones",
    "fr": "mille|millions?|milliards?", "pt": "mil|milhão|milhões|bilhão|bilhões|trilhões",
    "it": "mila|milione|milioni|miliardo|miliardi",
    "hi": "लाख करोड़|हज़ार करोड़|हजार करोड़|हज़ार|हजार|लाख|करोड़|अरब|मिलियन|बिलियन",
}  # fmt: skip
_BILLS = "bill|note|coin|fee|fine|gift|coupon|ticket|deal|check|cheque|donation|question|word|tip|discount|prize|bonus"


class MoneyRules:
    """The patterns of money in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        signs = "|".join(sorted(map(re.escape, language.money), key=len, reverse=True))
        codes = "|".join(_CODES)
        long = _LONG_MAGNITUDES[language.code]
        short = "|".join(sorted(_SHORT_MAGNITUDES, key=len, reverse=True))
        number = rf"({language.number}|\.\d{{1,2}})"
        large = rf"(?:(?:[ -]?({long})(?!\w))|(?: ?({short})(?![\w-])))?"
        until = rf"(?: ?[-–] ?(?:{signs})?({language.number}){large})?"
        end = r"(?!\w|[.,]\d)"
        self._before = re.compile(rf"(?<![\w$€£])(-|−)?({signs}) ?(-|−)?{number}{large}{until}{end}")
        after_signs = "|".join(map(re.escape, (sign for sign in language.money if not sign[0].isalpha())))
        self._after = re.compile(
            rf"(?<![\w.,])(-|−)?{number}(?: ?({long})(?!\w)(?: (?:de|di|of)(?= ))?)? ?({short})?({after_signs})(?!\w)"
        )
        self._code_before = re.compile(rf"\b({codes}) ?(?={number})")
        self._code_after = re.compile(rf"(?<![\w.,]){number} ?({codes}|CHF)\b")
        self._bill = re.compile(rf"\$(\d{{1,6}})[ -](?=(?:{_BILLS})\b)")
        nouns = {form for pair in language.money.values() for noun in pair for form in (noun.one, noun.many)}
        named = "|".join(sorted(map(re.escape, nouns), key=len, reverse=True))
        each = "|".join(sorted(map(re.escape, [*language.rates, *language.units]), key=len, reverse=True))
        each += "|[a-z]{3,12}" if language.code == "en" else ""
        self._per = re.compile(rf"(?<!\w)({named})( \d{{1,2}})?/({each})(?![\w/])")

    def write_out(self, text: str) -> str:
        """Return `text` with its amounts as a number and the name of the currency."""
        language = self._language
        text = self._code_before.sub(
            lambda m: "US$" if m[1] == "USD" and "US$" in language.money else self._sign(m[1], m[0]), text
        )
        text = self._code_after.sub(self._after_code, text)
        if language.code == "en":
            text = self._bill.sub(r"\1 dollar ", text)
            text = re.sub(r"(?<![\w.])(\d{1,4})¢", lambda m: f"{m[1]} {'cent' if m[1] == '1' else 'cents'}", text)
        text = self._before.sub(self._prefixed, text)
        text = self._after.sub(self._suffixed, text)
        return self._per.sub(self._rated, text)

    def _rated(self, match: re.Match[str]) -> str:
        """Return a price for each of something, such as dollars a month."""
        language = self._language
        each = match[3]
        name = language.rates.get(each) or (language.units[each].one if each in language.units else each)
        spoken = f"{match[1]}{match[2] or ''}"
        if language.code == "en":
            return f"{spoken} {'an' if name[0] in 'aeiou' or name == 'hour' else 'a'} {name}"
        return f"{spoken} {language.words['per'].format(name)}"

    def _sign(self, code: str, written: str) -> str:
        return _CODES[code] if _CODES[code] in self._language.money else written

    def _after_code(self, match: re.Match[str]) -> str:
        sign = "CHF" if match[2] == "CHF" else "US$" if match[2] == "USD" else _CODES[match[2]]
        if sign not in self._language.money:
            return match[0]
        return self._amount(match[1], None, self._language.money[sign])

    def _prefixed(self, match: re.Match[str]) -> str:
        first_minus, sign, second_minus, number, long, short, until, until_long, until_short = match.groups()
        currency = self._language.money[sign]
        if until:
            start = self._number(number, long or self._magnitude(short))
            end = self._amount(until, until_long or self._magnitude(until_short), currency)
            spoken = f"{start} {self._language.words['to']} {end}"
        else:
            spoken = self._amount(number, long or self._magnitude(short), currency)
        return f"{self._language.words['minus']} {spoken}" if first_minus or second_minus else spoken

    def _suffixed(self, match: re.Match[str]) -> str:
        minus, number, long, short, sign = match.groups()
        spoken = self._amount(number, long or self._magnitude(short), self._language.money[sign])
        return f"{self._language.words['minus']} {spoken}" if minus else spoken

    def _magnitude(self, short: str | None) -> str | None:
        return self._language.magnitudes[_SHORT_MAGNITUDES[short]] if short else None

    def _number(self, number: str, large: str | None) -> str:
        written = (
            number if self._language.code in ("en", "hi") else self._language.written(self._language.plain(number))
        )
        return f"{written} {large}" if large else written

    def _amount(self, number: str, large: str | None, currency: tuple[Noun, Noun]) -> str:
        language = self._language
        unit, cent = currency
        if large:
            of = "" if large in ("mil", "mille", "mila") else language.of(unit.many)
            return f"{self._number(number, large)} {of}{unit.many}"
        plain = language.plain(number)
        whole, _, decimals = plain.partition(".")
        if len(decimals) not in (1, 2) or cent.many in ("sen", "jeon"):
            if decimals:
                return f"{self._number(number, None)} {unit.many}"
            return self._counted(number, whole, unit)
        cents = int(decimals.ljust(2, "0"))
        if len(decimals) == 1 and cents:
            return f"{self._number(number, None)} {unit.many}"
        if int(whole or 0) == 0:
            return language.count(str(cents), cent)
        grouped = number[: -len(decimals) - 1]
        spoken = self._counted(grouped, whole, unit)
        return f"{spoken}{self._cents(cents, unit, cent)}" if cents else spoken

    def _counted(self, written: str, whole: str, unit: Noun) -> str:
        if self._language.code in ("en", "hi"):
            return f"{written} {unit.one if whole == '1' else unit.many}"
        return self._language.count(whole, unit)

    def _cents(self, cents: int, unit: Noun, cent: Noun) -> str:
        code = self._language.code
        if code == "hi":
            return f" {self._language.count(str(cents), cent)}"
        if code == "pt" or (code == "en" and unit.one not in ("pound", "euro")):
            return f" {self._language.words['and']} {self._language.count(str(cents), cent)}"
        join = self._language.words["cents_join"] if code != "en" else ""
        return f" {join} {cents}" if join else f" {cents}"
