"""Units after a number: their squares and cubes, rates such as mg/dL, degrees, feet and inches."""

# ruff: noqa: RUF001  (signs look like letters)

from __future__ import annotations

import re

from adapters.speech.normalization.language import Language, Noun

_POWERS = {"²": "squared", "2": "squared", "³": "cubed", "3": "cubed"}
_COMPOUND = re.compile(
    r"(?<![\w.,$€£-])(\d{1,4}(?:\.\d{1,2})?)-(ft|in|m|km|cm|mm|kg|lb|oz|mi|yd|yr|mo|wk|gal|hr|min|sec|mph|GB|MB|TB|W|V)\b"
    r"\.?(?=[ -][a-z])"
)
_INCHES = re.compile(
    r"(?<![\w.,$€£-])(\d{1,4}(?:\.\d{1,2})?)(?:-?in\b(?! \d)|[″\"](?= [a-z]{3,20}\b|[,;)]| x \d)|″"
    r"| in(?= (?:wide|tall|long|deep|high|thick|by|x)\b))"
)
_AMPS = re.compile(r"(?<![\w.,$€£-])(\d{1,4}(?:\.\d{1,2})?) A(?=[.,;)]|$| (?:and|of|at|fuse|charger|DC|AC)\b)")


_HOURS = re.compile(r"(?<![\w.,])(\d{1,2})h ?(\d{1,2})m(?:in)?(?: ?(\d{1,2})s)?(?!\w)")


class UnitRules:
    """The patterns of units in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        number = language.number
        names = "|".join(sorted(map(re.escape, language.units), key=len, reverse=True))
        self._unit = re.compile(
            rf"(?<![\w.,$€£])({number})(?:[ -]?)(?:(sq|cu) )?({names})(²|³|2|3| squared| cubed)?"
            r"(?![\w'’]|\.\w)(?!²|³)(?:\.(?= [a-z(]))?"
        )
        per = "|".join(sorted(map(re.escape, [*language.units, *language.rates]), key=len, reverse=True))
        self._rate = re.compile(
            rf"(?<![\w.,$€£])({number})[ -]?({names})(²|³|2|3)?/(?:(1) ?)?({per})(²|³|2|3)?(?![\w/])(?!²|³)"
        )

        self._after_fraction = _after_fraction(language, names)

    def write_out(self, text: str) -> str:
        """Units after a number, with their squares and cubes; degrees; feet and inches."""
        code = self._language.code
        if code == "en":
            text = re.sub(r"(?<![\w.,])(\d{1,2})['′](\d{1,2})[\"″”](?!\w)", _feet_and_inches, text)
            text = re.sub(r"\b(a|an|the) (\d{1,4})([mM]|ft|km|cm|kg|g|oz|lb)\b(?! \d)", r"\1 \2 \3", text)
            text = _COMPOUND.sub(self._compound, text)
            text = _INCHES.sub(_inches, text)
            text = re.sub(r"(?<=\d )(eighths?|quarters?|halves|half|thirds?|sixteenths?)[\"″](?= )", r"\1 inch", text)
            text = _AMPS.sub(lambda m: f"{m[1]} amp{'' if m[1] == '1' else 's'}", text)
            text = _HOURS.sub(_duration, text)
        text = self._after_fraction.sub(self._fraction_of, text)
        text = self._rate.sub(self._rated, text)
        text = self._unit.sub(self._with_unit, text)
        if code == "en":
            text = re.sub(r"\b(feet|foot) (\d{1,2}) in\b", r"\1 \2 inches", text)
            text = re.sub(
                r"(?<![\w.,])(\d{1,4}(?:\.\d{1,2})?)([kKMB])(?= (?:[a-z]{2,20}s|people|men|women|children)\b)",
                _large,
                text,
            )
        text = re.sub(r"(?<=\d) ?° ?([CF])\b", r"°\1", text)
        if code == "hi":
            text = re.sub(r"(?<=\d)°C\b", f" {self._language.words['degrees']} सेल्सियस", text)
        degrees = f" {self._language.words['degrees']}"
        return re.sub(r"(?<=\d) ?°(?! ?[CF]\b)((?=\w))?", lambda m: degrees + " " * (m[1] is not None), text)

    def _rated(self, match: re.Match[str]) -> str:
        """Return an amount of one unit for each of another, such as mg/dL or m/s²."""
        number, unit, power, _, each, each_power = match.groups()
        if unit + "/" + each in self._language.units and not each_power:
            return match[0]
        amount = self._language.count(self._language.plain(number), self._powered(self._language.units[unit], power))
        if self._language.code == "en":
            noun = self._powered(self._language.units[unit], power)
            amount = f"{number} {noun.one if number == '1' else noun.many}"
        if each in self._language.rates or each not in self._language.units:
            return f"{amount} {self._language.words['per'].format(self._language.rates[each])}"
        noun = self._language.units[each]
        if each_power and each in ("s", "h", "min"):
            return (
                f"{amount} {self._language.words['per'].format(noun.one)} {self._language.words[_POWERS[each_power]]}"
            )
        return f"{amount} {self._language.words['per'].format(self._powered(noun, each_power).one)}"

    def _fraction_of(self, match: re.Match[str]) -> str:
        """Return half a unit in the singular, one and a half in the plural."""
        mixed, fraction, unit = match.groups()
        noun = self._language.units[unit]
        return f"{mixed or ''}{fraction} {noun.many if mixed else noun.one}"

    def _powered(self, noun: Noun, power: str | None) -> Noun:
        if not power:
            return noun
        frame = self._language.words["square" if power in ("²", "2", "sq", "squared") else "cubic"]
        return Noun(_framed(frame, noun.one), _framed(frame, noun.many), noun.feminine)

    def _compound(self, match: re.Match[str]) -> str:
        """Return an adjective such as "6-ft."; its unit is in the singular."""
        return f"{match[1]} {self._language.units[match[2]].one}"

    def _with_unit(self, match: re.Match[str]) -> str:
        language = self._language
        noun = language.units[match[3]]
        power = (match[4] or match[2] or "").strip()
        before = match.string[max(0, match.start() - 2) : match.start()]
        if match[3] == "s" and " " not in match[0] and re.fullmatch("[A-Z]-", before):
            return match[0]  # the plural of a name such as B-52
        if power and match[3] not in ("m", "km", "cm", "mm", "ft", "in.", "mi", "yd"):
            return match[0]
        noun = self._powered(noun, power)
        number = language.plain(match[1])
        spoken = language.count(number, noun)
        if language.code == "en":
            spoken = f"{match[1]} {noun.one if number == '1' else noun.many}"
        ends = match[3].endswith(".") and re.match(r"\s*$|\s+[A-Z]", match.string[match.end() : match.end() + 3])
        return spoken + "." * bool(ends)


def _after_fraction(language: Language, names: str) -> re.Pattern[str]:
    """Return the pattern of a unit after the words of a fraction, such as half, one and a quarter, 3 eighths."""
    words = {language.words["half"], language.words["half"].split()[-1], language.words["and_half"].split()[-1]}
    words |= {form for noun in language.fractions.values() for form in (noun.one, noun.many)}
    words |= {"media", "meia", "mezza"} if language.code in ("es", "pt", "it") else set()
    words |= {"third", "thirds", "fifth", "fifths", "eighth", "eighths"} if language.code == "en" else set()
    fractions = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    mixed = rf"\d{{1,9}} {language.words['and']} (?:(?:a|an|one|un|une|uno|um|\d{{1,2}}) )?"
    return re.compile(rf"(?<![\w.,])({mixed})?(?<!\w)({fractions}) ({names})(?![\w'’/]|\.\w)(?:\.(?= [a-z(]))?")


def _duration(match: re.Match[str]) -> str:
    """Return 1h30m and the like in words."""
    parts = zip(match.groups(), ("hour", "minute", "second"), strict=True)
    return " ".join(f"{int(n)} {name}{'' if int(n) == 1 else 's'}" for n, name in parts if n)


def _framed(frame: str, name: str) -> str:
    """Return a square or cubic unit; the adjective follows the name's number."""
    framed = frame.format(name)
    if name.endswith(("s", "i")) or "{} " not in frame:
        return framed
    return framed[:-1] + "o" if framed.endswith("i") else framed.removesuffix("s")


def _large(match: re.Match[str]) -> str:
    return f"{match[1]} {({'M': 'million', 'B': 'billion'}).get(match[2], 'thousand')}"


def _inches(match: re.Match[str]) -> str:
    """Return an amount of inches; a mark that closes a quotation stays."""
    if match[0].endswith('"') and match.string.count('"', max(0, match.start() - 200), match.start()) % 2:
        return match[0]
    return f"{match[1]} {'inch' if match[1] == '1' else 'inches'}"


def _feet_and_inches(match: re.Match[str]) -> str:
    inches = "" if match[2] == "0" else f" {match[2]} {'inch' if match[2] == '1' else 'inches'}"
    return f"{match[1]} {'foot' if match[1] == '1' else 'feet'}{inches}"
