"""Ordinal numbers and roman numerals of languages other than English and Chinese."""

from __future__ import annotations

import re

from adapters.speech.normalization.language import Language
from adapters.speech.normalization.numerals import cardinal, ordinal
from adapters.speech.normalization.roman import number_of

_ORDINALS = {
    "es": re.compile(r"(?<![\w.,])(\d{1,3})\.?(?:( ?º|[o°]|[rdtvnm]o)|( ?ª|e?ra|[dtvnm]a)|(er\b))(?!\w)(?! ?[CF]\b)"),
    "pt": re.compile(r"(?<![\w.,])(\d{1,3})\.?(?:([ºo°])|(ª))(?!\w)"),
    "it": re.compile(r"(?<![\w.,])(\d{1,3})\.?(?:([º°])|(ª))(?![\wCF])(?! ?[CF]\b)"),
    "fr": re.compile(r"(?<!\w)(\d{1,4})(?:(er|e|ème|eme|nd|d|ᵉ)|(re|ère|nde|de))(?!\w)"),
}
_ROMAN = {
    "es": re.compile(
        r"\b((?:[Ss]iglos?|[Cc]apítulo|[Tt]omo|[Vv]olumen|Luis|Juan Pablo|Alfonso|Carlos|Felipe|Enrique|Isabel|"
        r"Fernando|Pío|Benedicto|Guerra Mundial|Papa|[Aa]cto|[Pp]arte)) ([IVXLC]{1,8})\b"
    ),
    "pt": re.compile(
        r"\b((?:[Ss]éculos?|[Cc]apítulo|[Tt]omo|[Vv]olume|Pedro|João|João Paulo|Luís|Afonso|Henrique|Manuel|Elizabeth|"
        r"Isabel|Carlos|Bento|Guerra Mundial|[Aa]to|[Pp]arte)) ([IVXLC]{1,8})\b"
    ),
    "it": re.compile(
        r"\b((?:Luigi|Enrico|Carlo|Paolo|Giovanni|Pio|Leone|Vittorio Emanuele|Umberto|Federico|Elisabetta|Filippo|"
        r"Benedetto|[Cc]apitolo|[Ss]ecolo|[Aa]tto)) ([IVXLC]{1,8})\b|\b([IVX]{1,6})(?= secolo\b)"
    ),
    "fr": re.compile(
        r"\b((?:Louis|Henri|Charles|François|Napoléon|Philippe|Jean-Paul|Élisabeth|Elizabeth|Pie|Benoît|Léopold|"
        r"Guillaume|Albert|Guerre|[Cc]hapitre|[Tt]ome|[Vv]olume|[Aa]cte)) ([IVXLC]{1,8})(er)?\b"
        r"|\b([IVX]{1,6})(?:e|ème|er|ᵉ)(?= (?:siècle|siècles|arrondissement|République)\b)"
    ),
}
_LAST_ORDINAL = 10
"""Spanish and Portuguese read the numbers of kings above this one as plain numbers."""
_NOT_A_KING = re.compile(r"^(?:[Ss]|[Cc]ap|[Tt]omo|[Vv]ol|[Pp]arte|[Aa]c?to)")
_HINDI = {"1": "पहल", "2": "दूसर", "3": "तीसर", "4": "चौथ", "6": "छठ"}


def write_out(text: str, language: Language) -> str:
    """Return `text` with 1.º, 2ª, 1er and the like as words, and roman numerals after the words that they follow."""
    code = language.code
    if code == "hi":
        return _hindi(text)
    if code in _ROMAN:
        text = _ROMAN[code].sub(lambda match: _roman(match, code), text)
    if code in _ORDINALS:
        text = _ORDINALS[code].sub(lambda match: _ordinal(match, code), text)
    return re.sub(r"\bIer\b", "premier", text) if code == "fr" else text


def _ordinal(match: re.Match[str], code: str) -> str:
    number, feminine = int(match[1]), match[3] is not None
    if number == 0:
        return match[0]
    words = ordinal(number, code, feminine)
    if code == "fr" and number == 2 and (match[2] or match[3]) in ("nd", "d", "nde", "de"):
        return "seconde" if feminine else "second"
    if code != "es" or feminine:
        return words
    before_noun = number in (1, 3) and re.match(
        r" (?!izq|der|dcha|y\b|en\b|de\b|del\b|a\b|e\b|o\b)[^\W\d_]", match.string[match.end() : match.end() + 5]
    )
    return words[:-1] if before_noun or match[4] else words


def _roman(match: re.Match[str], code: str) -> str:
    name = match[1]
    if name is None:  # a century
        century = number_of(match[match.re.groups])
        return ordinal(century, code) if century else match[0]
    number = number_of(match[2])
    if not number:
        return match[0]
    if code == "it" or (code in ("es", "pt") and number <= _LAST_ORDINAL and not _NOT_A_KING.match(name)):
        return f"{name} {ordinal(number, code, name.endswith(('a', 'Isabel', 'Elizabeth', 'Mundial')))}"
    return f"{name} premier" if code == "fr" and number == 1 and match[3] else f"{name} {number}"


def _hindi(text: str) -> str:
    text = re.sub(r"(?<!\w)([12346])(?:ल|र|थ|ठ)([ािीे])(?!\w)", lambda m: _HINDI[m[1]] + m[2].replace("ि", "ी"), text)
    return re.sub(r"(?<!\w)(\d{1,3})(?=व[ाींेँं]{1,2}(?!\w))", lambda m: cardinal(m[1], "hi"), text)
