"""Numbers that are read digit by digit: telephones, cards, books, addresses of the network, codes, versions."""

from __future__ import annotations

import re

from adapters.speech.normalization.numerals import LONGEST_CARDINAL
from adapters.speech.normalization.us_states import US_STATES

_AFTER = r"(?![\w/]|[.,:]\d|-\d)"
_BEFORE = r"(?<![\w.,:/$€£+-])"
_SEPARATED = re.compile(
    rf"{_BEFORE}(?:"
    r"97[89][- ]\d{1,5}[- ]\d{1,7}[- ]\d{1,7}[- ][\dX]"  # a book
    r"|\d{1,5}-\d{1,7}-\d{1,7}-[\dX]"
    r"|\d{3}-\d{2}-\d{4}"  # social security
    r"|\d{4}(?:[ -]\d{4}){2,4}(?:[ -]\d{1,3})?"  # a card
    r"|\d(?:-\d{3}){2}-\d{4}"
    r"|\(\d{2,4}\) ?\d{3,5}[- ]\d{3,4}"
    r"|\d{3}[-. ]\d{3}[-.]\d{4}|\d{3}[-. ]\d{4}[-.]\d{4}"
    r"|\d{3}-\d{4}"
    r"|0\d{1,4}(?:[ -]\d{2,4}){1,5}"
    r"|0\d{1,4}-\d{5,8}"
    r"|\d{3} \d{3}-\d{4}"
    r"|\d{3}\.\d{3}\.\d{3}-\d{2}"
    r"|0\d{1,4} \d{5,8}"
    r"|[6-9]\d{4}[- ]\d{5}"
    rf"){_AFTER}"
)
_PARENTHESIZED = re.compile(rf"(?<![\w.,])\((\d{{2,4}})\) ?(\d{{3,5}})[- ](\d{{3,4}}){_AFTER}")
_INTERNATIONAL = re.compile(r"(?<![\w+])\+(\d{1,3})((?:[ .-]?\(?\d{1,5}\)?){2,6})(?![\w]|[.,]\d)")
_SPANISH = re.compile(
    rf"{_BEFORE}(?:[6789]\d{{2}}(?:([ -])\d{{3}}\1\d{{3}})|[89]\d \d{{3}}(?: \d{{2}}){{2}}"
    rf"|[6789]\d{{2}}(?: \d{{2}}){{3}}){_AFTER}"
)
_BRAZILIAN = re.compile(
    rf"{_BEFORE}(?:\d{{2}} 9?\d{{4}}-\d{{4}}|9\d{{4}}-\d{{4}}|\d{{5}}-\d{{3}}"
    rf"|\d{{2}}(?:\.\d{{3}}){{2}}/\d{{4}}-\d{{2}}){_AFTER}"
)
_ITALIAN = re.compile(rf"{_BEFORE}3\d{{2}}[ -]\d{{3}}[ -]?\d{{3,4}}{_AFTER}")
_CALLED = re.compile(
    r"(?i:\b(tel|teléf|téléphone|teléfono|telefone|telefono|telephone|phone|call|dial|fax|mobile|cell|whatsapp|móvil|"
    r"celular|cellulare|portable|llame al|llama al|ligue para|ligue|chiamare|chiama|appelez le|appeler le))"
    rf"(\.?:? )(\d{{2,5}}(?:[ .-]\d{{2,5}}){{1,5}}){_AFTER}"
)
_ADDRESS = re.compile(rf"{_BEFORE}(\d{{1,3}}(?:\.\d{{1,3}}){{3}}){_AFTER}")
_VERSION = re.compile(r"(?<![\d.,:/$€£+-])(\d{1,4}(?:\.\d{1,4}){2,4})(?![\w/]|[.,]\d)")
_ZEROS = re.compile(rf"{_BEFORE}0\d{{1,{LONGEST_CARDINAL}}}(?![\w/%]|[.,:]\d)")
_LONG = re.compile(rf"\d{{{LONGEST_CARDINAL + 1},}}")
_CODE = re.compile(
    r"(?i:\b(code|pin|id|call|dial|extension|zip|code is|pin is|number is|phone|tel|ligue|disque|llame al|appelez le|"
    r"chiamare|chiama|कॉल|पिन|पिन कोड|कोड|ओटीपी))(:? )(\d{3,15})(?![\w/-]|[.,:]\d| [a-z]{3,20}s\b)"
)
_ZIP = re.compile(rf"(, | )({'|'.join(US_STATES)}),? (\d{{5}})(?:-(\d{{4}}))?(?![\w-]|[.,]\d)")
_MOBILE = re.compile(r"(?<![\w.,/$€£₹-])([6-9]\d{9})(?![\w,/-]|\.\d)")
_THOUSANDS = re.compile(r"(?<!\d)\d{1,3}(?:[.,]\d{3}){5,}(?!\d)")
_WORDS = {
    "en": ("point", "plus"), "es": ("punto", "más"), "fr": ("point", "plus"), "pt": ("ponto", "mais"),
    "it": ("punto", "più"), "hi": ("डॉट", "प्लस"),
}  # fmt: skip
"""Language -> the words for the dot of an address or version, and for the plus of an international number."""


def write_out(text: str, code: str) -> str:
    """Return `text` with such numbers as single digits with spaces, and commas between their groups."""
    point, plus = _WORDS[code]
    text = _INTERNATIONAL.sub(lambda m: f"{plus} {spaced(m[1])}, {grouped(m[2])}" if _is_phone(m[0]) else m[0], text)
    text = _PARENTHESIZED.sub(lambda m: f"{spaced(m[1])}, {spaced(m[2])}, {spaced(m[3])}", text)
    if code == "fr":
        text = re.sub(rf"{_BEFORE}0[1-9]([ .-])\d\d(?:\1\d\d){{3}}{_AFTER}", lambda m: _pairs(m[0]), text)
    if code == "pt":
        text = _BRAZILIAN.sub(lambda m: grouped(m[0]), text)
    if code == "it":
        text = _ITALIAN.sub(lambda m: grouped(m[0]), text)
    text = _CALLED.sub(lambda m: f"{m[1]}{m[2]}{grouped(m[3])}" if _is_phone(m[3]) else m[0], text)
    text = _SEPARATED.sub(lambda m: grouped(m[0]) if _is_separated(m[0], m.string, m.start()) else m[0], text)
    if code in ("es", "it", "pt"):
        text = _SPANISH.sub(lambda m: grouped(m[0]), text)
    text = _ADDRESS.sub(lambda m: f" {point} ".join(map(_short, m[1].split("."))), text)
    text = _VERSION.sub(lambda m: _version(m[1], point, code), text)
    if code == "en":
        text = _ZIP.sub(_zip, text)
        text = re.sub(r"(?<![\w.,:/$€£+-])911(?![\w/%]|[.,:-]\d| [a-z]{3,20}s\b)", "9 1 1", text)
    text = _CODE.sub(lambda m: f"{m[1]}{m[2]}{spaced(m[3])}", text)
    if code == "hi":
        text = _MOBILE.sub(lambda m: spaced(m[1]), text)
    text = _ZEROS.sub(lambda m: spaced(m[0]), text)
    text = re.sub(r"(?<=\d)\.(?=\d{16})", f" {point} ", text)
    return _LONG.sub(lambda m: f" {spaced(m[0])} ", text)


def spaced(number: str) -> str:
    """Return the digits of `number` with spaces between them."""
    return " ".join(char for char in number if char.isalnum())


def grouped(number: str) -> str:
    """Return the digits of each group of `number` with spaces between them, and commas between the groups."""
    return ", ".join(spaced(group) for group in re.split(r"[^\dX]{1,3}", number) if group)


def _zip(match: re.Match[str]) -> str:
    before, state, code, rest = match.groups()
    return f"{before}{US_STATES[state]} {spaced(code)}" + (f", {spaced(rest)}" if rest else "")


def _is_phone(text: str) -> bool:
    return 8 <= sum(char.isdigit() for char in text) <= 20


def _is_separated(text: str, whole: str, start: int) -> bool:
    """Tell a telephone from a range of pages such as 100-1200, and a date such as 03-15-2024."""
    if re.fullmatch(r"\d{3}-\d{4}", text):
        return not re.search(r"(?:pages?|years?|from|between) $", whole[max(0, start - 10) : start])
    return not re.fullmatch(r"\d{2}-\d{2}-\d{2}(?:\d{2})?", text)


def _pairs(number: str) -> str:
    """Return a French telephone number in its pairs."""
    return ", ".join(spaced(pair) if pair[0] == "0" else pair for pair in re.split("[ .-]", number))


def _short(number: str) -> str:
    """Return a number under 100 whole, and others digit by digit."""
    return number if len(number) < 3 else spaced(number)


def _version(number: str, point: str, code: str) -> str:
    parts = number.split(".")
    if code != "en" and all(len(part) == 3 for part in parts[1:]):
        return number  # thousands
    return f" {point} ".join(parts)
