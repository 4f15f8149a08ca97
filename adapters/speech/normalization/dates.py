"""Dates and times of day in the languages that are written with an alphabet."""

from __future__ import annotations

import re

from adapters.speech.normalization.language import Language

_YEAR_FIRST = re.compile(r"(?<![\w.,/-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\w/-]|[.,]\d)(?:T(?=\d))?")
_YEAR_LAST = re.compile(r"(?<![\w.,/-])(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-]|[.,:]\d)")
_STAMP = re.compile(r"(?<![\w.,/-])(\d{4})(-)(\d{2})-(\d{2})T(\d{2}:\d{2})(:\d{2})?(?:[.,]\d{1,9})?Z?(?!\w)")
_TIME = re.compile(
    r"(?<![\w.,:/])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\w:/]|[.,]\d)(?! ?[ap]\.?m)", re.IGNORECASE
)
_TIME_AM = re.compile(
    r"(?<![\w.,:/])([01]?\d|2[0-4])(?:[:.]([0-5]\d))? ?([ap])\.?m(?:\.(?=(?P<end>\s+(?-i:[A-ZÀ-Ý])|\s*$)?)|\b)",
    re.IGNORECASE,
)
_HOURS = re.compile(r"(?<![\w.,:/])([01]?\d|2[0-4]) ?[hH] ?([0-5]\d(?! ?min\b))?(?![\w/]|[.,]\d)")
_WITH_HOURS = re.compile(
    r"(?<![\w.,:/])([01]?\d|2[0-4])(?::|\.(?=\d\d ?h))([0-5]\d) ?(?:h|hs|hrs)\b(?:\.(?= ?[a-zà-ÿ]))?(?! ?\d)"
)
"""A time with the sign of hours at its end: 10:30 h, 10.30h."""
_ENGLISH_MONTH = re.compile(
    r"\b(January|February|March|April|May|June|July|August|September|October|November|December)"
    r" ([12]\d|3[01]|0?[1-9])(?:[-–]([12]\d|3[01]|[1-9]))?(?![\w:/%]|[.,]\d| (?:percent|people|million|times)\b)"
)
_ENGLISH_DAY_FIRST = re.compile(
    r"(?<![\w.,:/-])0?([12]\d|3[01]|[1-9]) (January|February|March|April|June|July|August|September|October|November|"
    r"December|May(?= \d))\b"
)
_WEEKDAY = r"(?:Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri|Sat|Sun)(?:[a-z]{3,6})?\.?,?"
_SHORT_DATE = re.compile(
    rf"(?:\b((?:(?i:on|due|by|until|till|since|before|after|dated|starting)|{_WEEKDAY}) )(?=0?[1-9]/|1[0-2]/)"
    r"|(?<![\w/.,$-])"
    r"(?=\d{1,2}/(?:1[3-57-9]|2[1-9]|3[01])(?!\d| (?:of|points|correct|questions|right|people|students)\b))"
    r"(?<!got )(?<!scored )(?<!score )(?<!scale )(?<!rated ))"
    r"(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])(?![\w/%]|\.\d)"
)
_DAY_AND_MONTH = re.compile(
    r"(?<![\w.,/])(?:(1[3-9]|2\d|3[01])/(0?[1-9]|1[0-2])|(0?[1-9]|[12]\d|3[01])/(0[1-9]))(?![\w/]|[.,]\d)"
)
"""A day before a month, which can be no fraction: its first number is large, or its second begins with a zero."""
_EXPIRY = re.compile(
    r"\b((?i:exp\.?|expires|expiry|valid (?:thru|until|through))(?: date)?:? )(0[1-9]|1[0-2])/([2-9]\d)\b"
)
_BOOKS = (
    "Genesis|Exodus|Leviticus|Numbers|Deuteronomy|Joshua|Judges|Ruth|Samuel|Kings|Chronicles|Ezra|Nehemiah|Esther|Job|"
    "Psalms?|Proverbs|Ecclesiastes|Isaiah|Jeremiah|Lamentations|Ezekiel|Daniel|Hosea|Joel|Amos|Jonah|Micah|Habakkuk|"
    "Zechariah|Malachi|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians|Ephesians|Philippians|Colossians|"
    "Thessalonians|Timothy|Titus|Hebrews|James|Peter|Jude|Revelation|Quran|Surah"
)
_VERSE = re.compile(rf"\b({_BOOKS}) (\d{{1,3}}):(\d{{1,3}})(?:[-–](\d{{1,3}}))?(?![\w:]|[.,]\d)")


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def write_out(text: str, language: Language) -> str:
    """Return `text` with its dates and times as words and plain numbers."""
    text = _STAMP.sub(lambda m: f"{m[1]}-{m[3]}-{m[4]} {m[5]}", text)
    text = _YEAR_FIRST.sub(lambda m: _date(m[0], m[4], m[3], m[1], language), text)
    text = _YEAR_LAST.sub(lambda m: _year_last(m, language), text)
    text = re.sub(r"(?<![\w/])24/7(/365)?(?![\w/])", lambda m: "24 7" + (" 365" if m[1] else ""), text)
    if language.code == "en":
        text = _ENGLISH_MONTH.sub(_english_month, text)
        text = _ENGLISH_DAY_FIRST.sub(lambda m: f"the {_english_day(int(m[1]))} of {m[2]}", text)
        text = _EXPIRY.sub(lambda m: f"{m[1]}{_MONTHS[int(m[2]) - 1]} 20 {m[3]}", text)
        text = _SHORT_DATE.sub(lambda m: f"{m[1] or ''}{_MONTHS[int(m[2]) - 1]} {_english_day(int(m[3]))}", text)
        text = _VERSE.sub(lambda m: f"{m[1]} {m[2]} {m[3]}" + (f" to {m[4]}" if m[4] else ""), text)
        text = re.sub(r"(?i)(?<=[ap]m) ?[-–] ?(?=noon\b|midnight\b|close\b|late\b)", " to ", text)
        text = re.sub(r"(?i)\b(noon|midnight) ?[-–] ?(?=\d)", r"\1 to ", text)
        text = re.sub(r"\b((?:ratio|odds|scale)(?: of| is| was)?) (\d{1,4}):(\d{1,4})\b", r"\1 \2 to \3", text)
        text = re.sub(r"\b([Tt]he|[Oo]n the) the (?=\d)", r"\1 ", text)
        text = re.sub(
            r"(?<![\w/])(9)/(11)(?![\w/])|(?<![\w/])(24)-(7)(?:-(365))?(?![\w/])",
            lambda m: " ".join(filter(None, m.groups())),
            text,
        )
    else:
        text = _DAY_AND_MONTH.sub(lambda m: _day_and_month(int(m[1] or m[3]), int(m[2] or m[4]), language), text)
    if language.code == "it":
        text = re.sub(r"\b([Oo]re|[Aa]lle|[Dd]alle) (\d{1,2})\.([0-5]\d)(?![\d.,])", r"\1 \2:\3", text)
    text = _WITH_HOURS.sub(lambda m: f"{m[1]} h" if m[2] == "00" else f"{m[1]}:{m[2]}", text)
    text = re.sub(r"(?<![\w:])(\d{1,2}:\d{2}) ?[-–—] ?(?=\d{1,2}:\d{2}(?!\w))", rf"\1 {language.words['to']} ", text)
    text = _TIME_AM.sub(lambda m: _with_half_day(m, language), text)
    text = _TIME.sub(lambda m: time_of_day(int(m[1]), int(m[2]), m[3], language), text)
    if language.code in ("fr", "pt", "es", "it"):
        text = re.sub(
            r"(?<![\w:])(\d{1,2} ?[hH](?:\d\d)?) ?[-–] ?(?=\d{1,2} ?[hH](?:\d\d)?\b)",
            rf"\1 {language.words['to']} ",
            text,
        )
        text = re.sub(r"(?<=\d)h(\d\d)(?=min\b)", r" h \1 ", text)
        text = _HOURS.sub(lambda m: _french_hours(m, language), text)
    if language.code == "hi":
        text = re.sub(r"(?:(बजे)|(मिनट)) बजे", r"\1\2", text)
    return text


def _year_last(match: re.Match[str], language: Language) -> str:
    first, second, mark = int(match[1]), int(match[3]), match[2]
    if len(match[4]) == 2 and mark != "/":
        return match[0]
    month_first = language.code == "en" and mark != "." and (second > 12 or first <= 12)
    day, month = (second, first) if month_first else (first, second)
    return _date(match[0], str(day), str(month), match[4], language)


def _date(written: str, day_text: str, month_text: str, year: str, language: Language) -> str:
    day, month = int(day_text), int(month_text)
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return written
    if language.code == "en":
        spoken = f"{year[:2]} {year[2:]}" if year[:2] == "20" and year[2:] >= "10" else year
        return f"{language.months[month - 1]} {_english_day(day)}, {spoken}"
    return _day_and_month(day, month, language) + (" de " if language.code in ("es", "pt") else " ") + year


def _day_and_month(day: int, month: int, language: Language) -> str:
    first = {"pt": "primeiro", "fr": "premier", "it": "primo"}.get(language.code, "1")
    of = " de " if language.code in ("es", "pt") else " "
    return f"{first if day == 1 else day}{of}{language.months[month - 1]}"


def _english_day(day: int) -> str:
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _english_month(match: re.Match[str]) -> str:
    until = f" to {_english_day(int(match[3]))}" if match[3] else ""
    return f"{match[1]} {_english_day(int(match[2]))}{until}"


def _with_half_day(match: re.Match[str], language: Language) -> str:
    minutes = int(match[2] or 0)
    hour = int(match[1])
    time = str(hour) if not minutes else time_of_day(hour, minutes, None, language)
    return f"{time} {match[3].lower()}m" + "." * (match["end"] is not None)


def time_of_day(hour: int, minute: int, second: str | None, language: Language) -> str:
    """Return a time as it is read in the language."""
    if language.code == "en":
        return _english_time(hour, minute, second)
    if language.code in ("fr", "pt"):
        return _hours_and_minutes(hour, minute, language) + _seconds(second, language)
    if language.code == "hi":
        return (f"{hour} बजकर {minute} मिनट" if minute else f"{hour} बजे") + _seconds(second, language)
    spoken = {"es": {1: "una", 21: "veintiuna"}, "it": {1: "una"}}.get(language.code, {}).get(hour, str(hour))
    return (f"{spoken} {language.words['and']} {minute}" if minute else spoken) + _seconds(second, language)


def _seconds(second: str | None, language: Language) -> str:
    if second is None:
        return ""
    joined = " " if language.code == "hi" else f" {language.words['and']} "
    return joined + language.count(str(int(second)), language.units["s"])


def _english_time(hour: int, minute: int, second: str | None) -> str:
    if second is not None:
        return f"{hour} {minute:02d} {second}" if minute > 9 else f"{hour} oh {minute} {second}"
    if minute == 0:
        return "midnight" if hour in (0, 24) else f"{hour} o'clock" if hour <= 12 else f"{hour} hundred"
    spoken = str(hour) if hour else "zero"
    return f"{spoken} {minute}" if minute > 9 else f"{spoken} oh {minute}"


def _hours_and_minutes(hour: int, minute: int, language: Language) -> str:
    """Return a time with the hours' noun; Portuguese leaves it out before minutes."""
    if language.code == "pt" and minute:
        return f"{language.agreed(str(hour), feminine=True)} e {minute}"
    return language.count(str(hour), language.units["h"]) + (f" {minute}" if minute else "")


def _french_hours(match: re.Match[str], language: Language) -> str:
    hour, minute = int(match[1]), match[2]
    if minute is None:
        return language.count(str(hour), language.units["h"])
    return time_of_day(hour, int(minute), None, language)
