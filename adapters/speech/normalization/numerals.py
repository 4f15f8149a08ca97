"""Numbers as words: num2words for European languages, cn2an for Chinese, a table for Hindi."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from adapters.speech.normalization.language import find_language

LONGEST_CARDINAL = 15
"""The most digits of a number that is read as an amount; a longer one is read digit by digit."""
_NUMBER = re.compile(r"(?<!\w)(?<!\d[.,])(\d{1,3}(?:,\d{2,3}){1,6}|\d+)(?:([.,])(\d+))?")
_ENGLISH_ORDINAL = re.compile(r"(?<!\w)(\d{1,15})(?:st|nd|rd|th)\b")


def spell_numbers(text: str, language: str) -> str:
    """Return a normalized text with its plain numbers as words, for a model that cannot read digits."""
    if language == "zh":
        return text
    if language == "en":
        text = _ENGLISH_ORDINAL.sub(lambda m: ordinal(int(m[1]), "en"), text)
    if found := find_language(language):
        words = found.words
        text = re.sub(r"(?<=\d) ?%", f" {words['percent']}", text)
        text = re.sub(r"(?<=\d) ?°(?=[CF]\b)", f" {words['degrees']} ", text)
        text = re.sub(r"(?<=[^\W\d_])\.(?=\w)", f" {words['dot']} ", text)
        text = re.sub(r"(?<=[^\W\d_])/(?=\w)", f" {words['slash']} ", text)
    text = re.sub(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[^\W\d_])", " ", text)
    return _NUMBER.sub(lambda match: _spoken(match, language), text)


def _spoken(match: re.Match[str], language: str) -> str:
    whole, mark, decimals = match[1], match[2], match[3]
    found = find_language(language)
    if found is None:
        return match[0]
    if found.written("0.5") == "0,5" and whole.count(",") == 1:  # 3,456 is a decimal number there
        whole, _, decimals = whole.partition(",")
        mark = ","
    whole = whole.replace(",", "")
    words = digits(whole, language) if len(whole) > 1 and whole[0] == "0" else cardinal(whole, language)
    if decimals is None:
        return words
    point = found.words["dot"] if mark == "." and found.written("0.5") == "0,5" else found.words["point"]
    return f"{words} {point} {digits(decimals, language)}"


def digits(text: str, language: str) -> str:
    """Return the words of the digits of `text`, one by one."""
    return " ".join(cardinal(digit, language) for digit in text)


def cardinal(number: str, language: str) -> str:
    """Return a whole number as words; one with more than `LONGEST_CARDINAL` digits is read digit by digit."""
    if len(number) > LONGEST_CARDINAL:
        return digits(number, language)
    if language == "hi":
        return _hindi(int(number))
    words = _num2words(int(number), language, "cardinal")
    if language == "it" and words.endswith("tre") and words != "tre":
        words = words[:-1] + "é"
    return words.replace(" and ", " ").replace(",", "") if language == "en" else words.replace(",", "")


def ordinal(number: int, language: str, feminine: bool = False) -> str:
    """Return an ordinal of English, Spanish, French, Portuguese or Italian."""
    words = _num2words(number, language, "ordinal").replace(" and ", " ")
    if not feminine:
        return words
    if language == "fr":
        return "première" if number == 1 else words
    return " ".join(word[:-1] + "a" if word.endswith("o") else word for word in words.split())


def chinese(number: str) -> str:
    """Return a plain number, such as 1234.5, in Chinese characters; a long one digit by digit."""
    import cn2an  # noqa: PLC0415  - in the environments of the families that read Chinese

    whole, _, decimals = number.partition(".")
    if len(whole) > LONGEST_CARDINAL:
        return chinese_digits(number)
    words = str(cn2an.an2cn(whole or "0"))
    if words.startswith("一十"):
        words = words[1:]
    return f"{words}点{chinese_digits(decimals)}" if decimals else words


def chinese_digits(number: str, one: str = "一") -> str:
    """Return the digits of `number` in Chinese characters; `one` is 幺 in the numbers of telephones."""
    return number.translate(str.maketrans("0123456789.", f"零{one}二三四五六七八九点"))


@cache
def _num2words(number: int, language: str, to: str) -> str:
    from num2words import num2words  # noqa: PLC0415  - in the environments of the families that need it

    return str(num2words(number, lang="pt_BR" if language == "pt" else language, to=to)).replace("-", " ")


@cache
def _hindi_table() -> list[str]:
    return (Path(__file__).parent / "hindi_numbers.txt").read_text("utf-8").split()


def _hindi(number: int) -> str:
    if number < 100:
        return _hindi_table()[number]
    words = []
    for size, name in ((10**7, "करोड़"), (10**5, "लाख"), (1000, "हज़ार"), (100, "सौ")):
        amount, number = divmod(number, size)
        if amount:
            words.append(f"{_hindi(amount)} {name}")
    return " ".join([*words, _hindi_table()[number]] if number else words)
