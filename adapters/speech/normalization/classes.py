"""The classes of written signs in the languages of languages.toml: identifiers, money, ranges, units, sums and others.

Each pattern begins where no word or number goes on, and each of its repetitions is bounded: the time is linear.
"""

# ruff: noqa: RUF001  (signs look like letters)

from __future__ import annotations

import re
from functools import cache

from adapters.speech.normalization import calendar_names, dates, identifiers, ordinals, symbols
from adapters.speech.normalization.agreement import agree
from adapters.speech.normalization.cleaning import RAISED
from adapters.speech.normalization.language import Language, Noun, find_language
from adapters.speech.normalization.money import MoneyRules
from adapters.speech.normalization.numerals import ordinal
from adapters.speech.normalization.units import UnitRules

_VULGAR = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
    "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8), "⅐": (1, 7),
    "⅑": (1, 9), "⅒": (1, 10),
}  # fmt: skip
_VULGAR_SIGN = re.compile(rf"(?:(?<!\w)(\d{{1,9}}) ?)?([{''.join(_VULGAR)}])")
_SLASHED = re.compile(r"(?<![\w./])(?:(\d{1,3}) )?(\d{1,2})/(\d{1,3})(?![\w/]|\.\d)")
_PLAYED = re.compile(
    r"(?i)\b(?:won?|wins?|beat|beats|lost|loses?|leads?|led|scores?|ended|drew|ganó|perdió|marcador|gagn|batt|perd|ganhou|"
    r"venceu|perdeu|vinto|vince|perso)|जीत|हार"
)
_SCORED = re.compile(
    r"\b((?i:scored?|scores|rated?|rating(?: of| is)?|graded?|mark of|score (?:of|is|was)|note(?: de)?|"
    r"nota(?: de| di)?|puntuación de|voto(?: di)?)(?: an?| un)? )(\d{1,3}(?:[.,]\d)?)/(\d{1,3})(?![\w/]|[.,]\d)"
)
_OF_TEN = re.compile(r"(?<![\w./])(?<!\d[ ,])([4-9](?:[.,]5)?)/(10)(?![\w/]|[.,]\d| (?:of|de|di|inch|miles?|cups?)\b)")
_OF_TWENTY = re.compile(r"(?<![\w./])(?<!\d[ ,])((?:[2-9]|1\d)(?:,5)?)/(20)(?![\w/]|,\d| (?:de|d'))")
_BARE_DECIMAL = re.compile(r"(?<![\w.,)$€£¥₹])\.(?=\d{1,12}(?![\w.]))")
_RAISED = re.compile(r"(?<=[\w)])([⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}|⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6})(?!\w)")
_CARET = re.compile(r"(?<=\w)\^(-?\d{1,6})\b")
_LOWERED = re.compile(r"(?<=[A-Za-z)])([₀-₉]{1,4})")
_RANGE_END = r"(?![\w/-]|[.,:]\d)"


def write_out(text: str, language: Language) -> str:
    """Return `text` with the signs of its numbers as words; plain numbers stay digits."""
    rules = _rules(language.code)
    text = _BARE_DECIMAL.sub(language.written("0."), symbols.write_out(text, language.code))
    text = rules.fractions_by_sign(rules.powers(text))
    text = dates.write_out(calendar_names.write_out(text, language), language)
    text = identifiers.write_out(text, language.code)
    text = rules.money.write_out(text)
    text = ordinals.write_out(text, language)
    text = rules.sums(text)
    text = rules.fractions(text)
    text = rules.ranges(text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]{1,6}", "", rules.units.write_out(text))
    return rules.plain_numbers(rules.signs(text))


@cache
def _rules(code: str) -> _Rules:
    language = find_language(code)
    assert language is not None
    return _Rules(language)


class _Rules:
    """The patterns of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.words = language.words
        self.money = MoneyRules(language)
        self.units = UnitRules(language)
        number = language.number
        self._range = re.compile(
            rf"(?<![\w/-])(?<!\d[.,:])({number}%?|\d{{1,2}} (?:am|pm))(?: ?[–—~] ?|-| - )({number})(?=(%)|{_RANGE_END})"
        )
        self._ratio = re.compile(r"(?<![\w.,:/])(\d{1,4}):(\d{1,3}(?:[.,]\d{3}){1,2}(?!\d)|\d{1,4})(?![\w:/]|[.,]\d)")
        self._sign = re.compile(rf"(?<![\w)\]%.,])(?<!\d )[-−–](?={number}(?![\w-])|[.,]?\d|[$€£¥₹])")
        self._grouped = re.compile(rf"(?<![\w])(?<!\d[.,]){number}(?![\w]|[.,]\d)")

    def powers(self, text: str) -> str:
        """Superscripts: 10², m³, x⁻¹; a footnote's number after a word is left out."""
        text = text.replace("℃", "°C").replace("℉", "°F").replace("№", "no. ").replace("™", "").replace("®", "")
        text = re.sub(r"(?<=\d)( ?)º(?= ?[CF]\b)|(?<=[.,]\d)º", r"\1°", text)
        text = re.sub(r"(?<![\w#&])#(?=\d)", f"{self.words['number']} ", text)
        text = _LOWERED.sub(lambda m: " " + " ".join(str(ord(c) - 0x2080) for c in m[1]) + " ", text)
        text = _RAISED.sub(self._raised, text)
        return _CARET.sub(lambda m: self._power(m[1]), text)

    def _raised(self, match: re.Match[str]) -> str:
        power = match[1].translate(RAISED)
        before = re.search(r"(\d ?|/)?([^\W\d_]{1,30})$", match.string[max(0, match.start() - 34) : match.start()])
        if before and before[2] in self.language.units and before[1]:
            return match[0]  # an area or a volume, read with its unit
        if before and len(before[2]) > 2 and not before[1]:
            return ""  # a footnote
        return self._power(power)

    def _power(self, power: str) -> str:
        if power in ("2", "3"):
            return " " + self.words["squared" if power == "2" else "cubed"]
        spoken = power.replace("-", self.words["minus"] + " ")
        return " " + self.words["power"].format(spoken)

    def fractions_by_sign(self, text: str) -> str:
        """½, 1½ and the like."""
        text = _VULGAR_SIGN.sub(lambda m: self._fraction(m[1], *_VULGAR[m[2]]), text)
        return self._agreed_half(text)

    def _agreed_half(self, text: str) -> str:
        half = {"es": "medio", "pt": "meio", "it": "mezzo"}.get(self.language.code)
        feminine = {"es": "media", "pt": "meia", "it": "mezza"}.get(self.language.code)
        return re.sub(rf"\b{half}(?= [^\W\d_]{{2,20}}as?\b)", str(feminine), text) if half else text

    def fractions(self, text: str) -> str:
        """1/2, 3/4 and 1 1/2, where both parts are small; 50/50 is left as two numbers."""
        text = re.sub(r"(?<![\w/])(\d{1,2})/(\d{1,3})(?:rds?|ths?)\b", r"\1/\2", text)
        text = re.sub(r"(?<![\w./])(\d(?:\.\d)?)/(5|10) (?=stars?\b)", r"\1 out of \2 ", text)
        text = _SCORED.sub(lambda m: f"{m[1]}{m[2]} {self.words['out_of']} {m[3]}", text)
        twentieths = _OF_TWENTY if self.language.code == "fr" else _OF_TEN
        text = twentieths.sub(lambda m: f"{m[1]} {self.words['out_of']} {m[2]}", text)
        text = _SLASHED.sub(self._slashed, text)
        text = self._agreed_half(text)
        if self.language.code == "en":
            text = re.sub(r"(?<![\w./])(\d{2,3})/(\d{2,3})(?![\w/]|\.\d)", r"\1 over \2", text)
        return text

    def _slashed(self, match: re.Match[str]) -> str:
        above, below = int(match[2]), int(match[3])
        if above == below:
            return f"{match[1] or ''} {above} {below}".strip()
        if below < 2 or (below > 20 and below != 100) or above > 2 * below + 10:
            return match[0]
        return self._fraction(match[1], above, below)

    def _fraction(self, whole: str | None, above: int, below: int) -> str:
        language, words = self.language, self.words
        if (above, below) == (1, 2):
            return f"{whole} {words['and_half']}" if whole else words["half"]
        name = language.fractions.get(below) or self._ordinal_noun(below)
        if language.code == "hi" and below not in language.fractions:
            spoken = f"{above} बटा {below}"
        elif language.code == "en" and whole and above == 1:
            spoken = f"a {name.one}"
        elif above == 1:
            spoken = f"{'one' if language.code == 'en' else language.agreed('1')} {name.one}"
        else:
            spoken = f"{above} {name.many}"
        return f"{whole} {words['and']} {spoken}" if whole else spoken

    def _ordinal_noun(self, below: int) -> Noun:
        if self.language.code in ("en", "hi"):
            tail = "th" if below % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(below % 10, "th")
            words = ordinal(below, "en").removeprefix("one ") if self.language.code == "en" else f"{below}{tail}"
            return Noun(words, words + "s")
        words = ordinal(below, self.language.code)
        return Noun(words, words + "s" if self.language.code != "it" else words[:-1] + "i")

    def sums(self, text: str) -> str:
        """Signs of arithmetic between numbers or single letters."""
        words = self.words
        around = r"(?<=[\w)%]){}(?=[\w(.$€£−-])"
        text = re.sub(r"(?<=\d) ?[*×·] ?(?=\d)|(?<=\d)(?: [xX] |[xX])(?=\d)", lambda m: f" {self._times(m)} ", text)
        if "=" in text:
            text = re.sub(
                r"(?<=[\w)]) [-−–] (?=[\w(]{1,12}(?: [-+−*/×÷–] [\w(]{1,12}){0,6} ?=)", f" {words['minus']} ", text
            )
            text = re.sub(r"(?<![\w.,-])(\d{1,9})[-−](?=\d{1,9} ?=)", rf"\1 {words['minus']} ", text)
        text = re.sub(r"(?<=[=+] )(\d{1,9})[-−](?=\d)", rf"\1 {words['minus']} ", text)
        signs = (("+", "plus"), ("÷", "divided"), ("=", "equals"), ("<", "less"), (">", "greater"), ("×", "times"))
        for sign, word in signs:
            text = re.sub(around.format(rf" ?\{sign} ?"), f" {words[word]} ", text) if sign in text else text
        text = re.sub(r"(?<=\d)\+(?!\w)", f" {words['plus']}", text)
        text = re.sub(r"(?<!\w)\+(?=\d)", f"{words['plus']} ", text)
        for sign, word in (("≤", "at_most"), ("≥", "at_least"), ("≈", "about"), ("±", "plus_minus")):
            text = re.sub(rf" ?{sign} ?(?=\w)", f" {words[word]} ", text) if sign in text else text
        text = re.sub(r"(?<![\w~])~ ?(?=[\d$€£])", f"{words['about']} ", text)
        return re.sub(r"(?<=\d)x(?= [a-z])", f" {words['times']}", text)

    def _times(self, match: re.Match[str]) -> str:
        return "by" if self.language.code == "en" and "x" in match[0].lower() else self.words["times"]

    def _between(self, match: re.Match[str]) -> str:
        """Return a range or a score; a smaller number after a hyphen with spaces is subtracted, except in a score."""
        word = self.words["to"]
        if match[1] == match[2] == "50":
            return "50 50"
        if " - " in match[0] and not _PLAYED.search(match.string, max(0, match.start() - 40), match.start()):
            first, second = (self.language.plain(match[n].rstrip("%")) for n in (1, 2))
            if re.fullmatch(r"\d{1,15}(?:\.\d{1,15})?", first) and float(first) > float(second):
                word = self.words["minus"]
        return f"{match[1]} {word} {match[2]}"

    def ranges(self, text: str) -> str:
        """10-15, 5–10 %, 3-2 and 16:9."""
        if self.language.code == "en":
            text = re.sub(r"(?<![\w.,/-])(\d{1,3})-(\d{1,3})-(?=[a-z]{3,12}\b)", r"\1 to \2 ", text)
        text = self._range.sub(self._between, text)
        return self._ratio.sub(lambda m: f"{m[1]} {self.words['to']} {m[2]}", text)

    def signs(self, text: str) -> str:
        """The minus sign, percent and per mille; the at sign of an address."""
        text = self._sign.sub(f"{self.words['minus']} ", text)
        text = re.sub(r"(?<=\d) ?‰", f" {self.words['permille']}", text)
        text = re.sub(r"(?<=\d) %", "%", text)
        text = re.sub(r"(?<=[^\W\d_]) ?%", f" {self.words['percent']}", text)
        text = re.sub(r"(?<=[\w.])@(?=\w)|(?<=\w) @ ?(?=\w)", f" {self.words['at']} ", text)
        return re.sub(r"(?<=\w) ?& ?(?=\w)|(?<=\s)& ?(?=\w)", f" {self.words['and']} ", text)

    def plain_numbers(self, text: str) -> str:
        """Numbers without the marks of other languages between their thousands."""
        if self.language.code == "hi":
            return _HINDI_YEAR.sub(r"\1 सौ \2", text)
        if self.language.code == "en":
            return text
        text = re.sub(r"(?<!\w)['’](?=\d\d(?!\w))", "", text)
        text = agree(text, self.language.code)
        return self._grouped.sub(lambda m: self.language.written(self.language.plain(m[0])), text)


_HINDI_YEAR = re.compile(
    r"(?:(?<=सन् )|(?<=जनवरी )|(?<=फ़रवरी )|(?<=मार्च )|(?<=अप्रैल )|(?<=मई )|(?<=जून )|(?<=जुलाई )|(?<=अगस्त )|(?<=सितंबर )|"
    r"(?<=अक्टूबर )|(?<=नवंबर )|(?<=दिसंबर )|(?<!\S)(?=\d{4} (?:में|के दशक|ई\.|ईस्वी)(?!\w)))(1[1-9])(\d\d)(?![\w,]|\.\d)"
)
