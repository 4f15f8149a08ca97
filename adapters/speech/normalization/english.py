"""Rules of English alone: streets and saints, initials, sentences without spaces, capitals, years and decades."""

from __future__ import annotations

import re

from adapters.speech.normalization.numerals import cardinal
from adapters.speech.normalization.roman import number_of

_STARTERS = (
    "A|An|The|This|That|These|Those|It|It's|He|She|We|They|You|I|I'm|There|Then|But|And|So|If|When|While|What|Who|How|"
    "Why|Where|In|On|At|My|His|Her|Our|Their|Its|No|Not|Yes|As|After|Before|For|From|With|Now|Please|Turn|However|"
    "Although|Because|Since|Do|Did|Does|Is|Are|Was|Were|Can|Could|Would|Should|Today|Yesterday|Tomorrow|Meanwhile"
)
_SENTENCE = rf"(?=\s+(?:{_STARTERS})\b|\s*$|\s*\n)"
_STREETS = "Wall|Main|High|Baker|Market|Broad|Oak|Elm|Pine|Maple|Church|State|Park|Bond|Canal|Water|Front|Bourbon|Fleet"
_SAINTS = (
    "Paul|John|Louis|Petersburg|Mary|Peter|Patrick|George|James|Thomas|Andrew|Andrews|Joseph|Nicholas|Francis|Michael|"
    "Kitts|Lucia|Helens|Helena|Lawrence|Augustine|Bernard|Moritz|Tropez|Martin|Croix|Albans|Ives|Valentine|Stephen|"
    "Mark|Luke|Matthew|Anne|Catherine|Catharines|Vincent|Anthony|Benedict|Clair|Charles|Cloud|David|Denis|Gallen"
)
_STREET = re.compile(
    rf"\b((?:{_STREETS}|\d{{1,4}}(?:st|nd|rd|th)) St|(?<![.!?] )(?<!^)[A-Z][a-z]{{1,20}} St(?!\. (?:{_SAINTS})\b)"
    rf"|[A-Z][a-z]{{1,20}} St(?=\.{_SENTENCE}))\.({_SENTENCE})?"
)
_DRIVE = re.compile(rf"\b([A-Z][a-z]{{1,20}}) Dr\.{_SENTENCE}")
_INITIAL = re.compile(rf"(?<![\w.])([A-HJ-Z])\. (?=[A-Z][.a-z])(?!(?:{_STARTERS})\b)")
_DOTTED = re.compile(rf"(?<![\w.])((?:[A-Z]\.){{2,6}})({_SENTENCE})?(?!\w)")
_SMALL_DOTTED = re.compile(rf"(?<![\w.])((?:[a-z]\.){{3,5}})({_SENTENCE})?(?!\w)")
_GLUED = re.compile(r"(?<=[a-z]{2})([.!?])(?=[A-Z](?:[a-z']| ))")
_LARGE_ORDINAL = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3}){1,4}(?=(?:st|nd|rd|th)\b)")
_CAPITALS = re.compile(r"[A-Z'’,;:\- ]{8,400}")
_SHORT_WORDS = {
    "A", "AM", "AN", "AND", "ARE", "AS", "AT", "BE", "BY", "DO", "FOR", "GO", "HE", "IF", "IN", "IS", "IT", "ITS", "ME",
    "MY", "NO", "NOT", "NOW", "OF", "OFF", "ON", "OR", "OUR", "OUT", "SO", "THE", "TO", "UP", "US", "WE", "WHO", "YOU",
}  # fmt: skip
_PREPOSITION = r"(?i:in|since|until|from|by|before|after|of|year|circa|about|around|to|between|during|till|AD)"
_COUNTED = (
    r"(?= (?!(?:was|is|has|his|this|as|its|us|does|perhaps|across|always|towards|thus)\b)[a-z]{2,20}s\b"
    r"| (?:people|men|women|children|percent|per|square|cubic|million|different|more|other|of)\b)"
)
_METERED = r"(?= (?:meters|feet|miles|yards|people|dollars|euros|pounds|kilometers|percent|words|calories|votes)\b)"
_YEAR = r"(1[1-9]|10)(\d\d)(?![\w%]|[.,:/]\d|-\d)"
_FIRM_YEAR = re.compile(rf"\b((?i:in|since|year|circa|during|AD|on)) {_YEAR}(?!{_METERED})")
_LIKELY_YEAR = re.compile(rf"\b({_PREPOSITION}) {_YEAR}(?!{_COUNTED})(?! to \d)")
_BETWEEN = re.compile(
    rf"\b(?i:(between|from)) (1\d|20)(\d\d) (and|to|until|through) {_YEAR.replace('10', '20')}(?!{_COUNTED})"
)
_YEAR_LIST = re.compile(
    r"\b(?i:in|since|of|years?) (?:1[1-9]|20)\d\d(?:, (?:1[1-9]|20)\d\d){1,20}"
    r"(?:,? (?:and|or) (?:1[1-9]|20)\d\d)?(?![\w,%]|\.\d)"
    r"|\b(?i:in|since|years?) (?:1[1-9]|20)\d\d (?:and|or) (?:1[1-9]|20)\d\d(?![\w,%]|\.\d| [a-z]{2,20}s\b)"
)
_ERA = re.compile(r"(?<![\w.,$€£])(\d{3,4})(?= (?:to \d{3,4} )?(?:BCE?|CE|AD)\b)")
_AFTER_MONTH = re.compile(
    r"\b((?:January|February|March|April|May|June|July|August|September|October|November|December)"
    r"(?: \d{1,2}(?:st|nd|rd|th)?)?,? )(\d{2})(\d{2})(?![\w%]|[.,:]\d)"
)
_SPAN = re.compile(r"(?<![\w.,$€£-])(1\d)(\d\d) ?[-–] ?(1\d|20)(\d\d)(?![\w,-]|\.\d)")
_SHORT_SPAN = re.compile(r"(?<![\w.,$€£-])(1\d|20)(\d\d)(?:–|-(?!0|1[0-2]))(\d\d)(?![\w,–-]|\.\d)")
_SEASON = re.compile(r"(?<![\w.,/])(1[89]|20)(\d\d)/(\d\d)(?![\w/])")
_SINGLE = re.compile(r"\((1\d)(\d\d)\)|(?<=\bthe )(1[1-9])(\d\d)(?= (?!of|or|and)[a-z]{4,20}\b(?<!s)|$|[,.;] )")
_DECADE = re.compile(r"(?<![\w.,$€£])(?:(\d\d)|['’])?(\d0)['’]?s\b")
_POSSESSIVE = re.compile(r"(?<![\w.,$€£-])(1[1-9])(\d\d)(?=['’]s\b)")
_PLURAL = re.compile(r"\b([A-Z]{1,3}-?)(\d{1,3})s\b")
"""The plural of a name such as B-52."""
_SHORT_YEAR = re.compile(r"(?<![\w'’])['’](\d\d)(?!\w)(?!['’\"])")
_TENS = (
    "hundreds",
    "tens",
    "twenties",
    "thirties",
    "forties",
    "fifties",
    "sixties",
    "seventies",
    "eighties",
    "nineties",
)
_REGNAL = (
    "Louis|Henry|Elizabeth|Charles|George|Edward|James|William|Richard|Philip|Paul|Pius|Benedict|Gregory|Innocent|Leo|"
    "Urban|Clement|Francis|Frederick|Catherine|Nicholas|Alexander|Napoleon|Ramses|Ramesses|Ptolemy|Mary|Peter|"
    "Ferdinand|Leopold|Otto|Ivan|Robert|John|Alfonso|Albert|Victoria|Christian|Haakon|Harald|Carlos|Xerxes|Darius|"
    "Cleopatra|Thutmose|Amenhotep|Joseph|Max|Maximilian|Wilhelm|Friedrich|Rudolf|Gustav|Oscar|Stephen|Felipe|Juan"
)
_KING = re.compile(
    rf"\b({_REGNAL}) ([IVX]{{2,6}}|[VX]|I(?=[,.;)]|$| (?:of|was|and)\b|['’]s\b))\b(?!\.[A-Z])(?!['’](?!s\b))"
)
_NUMBERED = re.compile(
    r"(?i:\b(War|chapter|part|volume|vol|book|act|scene|section|article|type|phase|stage|class|level|grade|appendix|"
    r"title|figure|table|Bowl|division|tier|mark|step|unit|lesson|episode|season|round|group|category|schedule|"
    r"Apollo|Rocky|Godfather|Rambo|Saw|Mark|Titan|Gemini|Fantasy|Olympiad|Vatican|Windows))"
    r" ([IVXLC]{1,8}|[ivx]{1,6})\b(?!['’])"
)
_CENTURY = re.compile(r"\b([IVX]{1,6})(?:th|st|nd|rd)?(?= (?:century|centuries|Century|dynasty|Dynasty)\b)")
_GENERIC = re.compile(r"\b([A-Z][a-z]{2,20}) (?!IV (?:drip|fluid|bag|line|therapy|pole))([IVX]{2,6})\b(?!['’.]\w)")


def before_classes(text: str) -> str:
    """Apply the rules that need the text's own full stops, capitals and digits."""
    text = _GLUED.sub(r"\1 ", text)
    text = _LARGE_ORDINAL.sub(lambda m: m[0].replace(",", ""), text)
    text = _CAPITALS.sub(_lowered, text)
    text = _STREET.sub(lambda m: m[1] + "reet" + "." * (m[2] is not None), text)
    text = _DRIVE.sub(r"\1 Drive.", text)
    text = re.sub(r"\bSt\.(?=\s*$|\s*\n)", "Street.", re.sub(r"\bSt\.(?= [A-Z])", "Saint", text))
    text = re.sub(r"\bSt\.", "Street", re.sub(r"\bDr\.", "Doctor", text))
    text = _DOTTED.sub(lambda m: m[1].replace(".", "") + "." * (m[2] is not None), text)
    text = _SMALL_DOTTED.sub(lambda m: m[1].replace(".", "").upper() + "." * (m[2] is not None), text)
    return _years(_romans(_INITIAL.sub(r"\1 ", text)))


def after_classes(text: str) -> str:
    """Apply the rules of years to what the dates have left."""
    text = _PLURAL.sub(lambda m: f"{m[1]}{_plural(cardinal(m[2], 'en'))}", text)
    return _AFTER_MONTH.sub(lambda m: m[1] + year(m[2], m[3]), text)


def year(century: str, rest: str) -> str:
    """Return the digits of a year in the groups in which it is read: 19 84, 19 oh 5, 15 hundred, 2005."""
    if century in ("20", "10") and rest[0] == "0":
        return century + rest
    if rest == "00":
        return f"{int(century)} hundred"
    return f"{int(century)} oh {rest[1]}" if rest[0] == "0" else f"{int(century)} {rest}"


def _lowered(match: re.Match[str]) -> str:
    """Return a run of capitals with its short everyday words in small letters; IT and US alone stay."""
    words = re.findall("[A-Z]+", match[0])
    if len(words) < 3:
        return match[0]
    return re.sub("[A-Z]+", lambda m: m[0].lower() if m[0] in _SHORT_WORDS and len(m[0]) > 1 else m[0], match[0])


def _years(text: str) -> str:
    text = _YEAR_LIST.sub(lambda m: re.sub(r"\b(1\d)(\d\d)\b", lambda y: year(y[1], y[2]), m[0]), text)
    text = _ERA.sub(lambda m: year(m[1][:-2], m[1][-2:]) if len(m[1]) == 4 else m[1], text)
    text = _SEASON.sub(lambda m: f"{year(m[1], m[2])} {m[3]}", text)
    text = _SPAN.sub(lambda m: f"{year(m[1], m[2])} to {year(m[3], m[4])}", text)
    text = _SHORT_SPAN.sub(lambda m: f"{year(m[1], m[2])} to {m[3]}" if m[3] > m[2] else m[0], text)
    text = _BETWEEN.sub(lambda m: f"{m[1]} {year(m[2], m[3])} {m[4]} {year(m[5], m[6])}", text)
    text = _FIRM_YEAR.sub(lambda m: f"{m[1]} {year(m[2], m[3])}", text)
    text = _LIKELY_YEAR.sub(lambda m: f"{m[1]} {year(m[2], m[3])}", text)
    text = _SINGLE.sub(lambda m: f"({year(m[1], m[2])})" if m[1] else year(m[3], m[4]), text)
    text = re.sub(r"\b(est\.?|established) (1\d)(\d\d)\b", lambda m: f"established {year(m[2], m[3])}", text)
    text = re.sub(r"(?<=\d0s)[-–](?=\d{0,2}\d0s)", " to ", text)
    text = _DECADE.sub(_decade, text)
    text = _POSSESSIVE.sub(lambda m: year(m[1], m[2]), text)
    return _SHORT_YEAR.sub(r"\1", text)


def _decade(match: re.Match[str]) -> str:
    century, tens = match[1], int(match[2][0])
    if century == "20" and tens == 0:
        return "two thousands"
    return f"{century} {_TENS[tens]}" if century else _TENS[tens] if tens else match[0]


def _romans(text: str) -> str:
    text = _KING.sub(lambda m: f"{m[1]} the {_english_ordinal(number_of(m[2]))}" if number_of(m[2]) else m[0], text)
    text = _CENTURY.sub(lambda m: _english_ordinal(number_of(m[1])) if number_of(m[1]) else m[0], text)
    for pattern in (_NUMBERED, _GENERIC):
        text = pattern.sub(lambda m: f"{m[1]} {number_of(m[2].upper())}" if number_of(m[2].upper()) else m[0], text)
    return text


def _plural(number: str) -> str:
    """Return the plural of a number's words: fifty twos, sixes, forties."""
    if number.endswith("y"):
        return number[:-1] + "ies"
    return number + ("es" if number.endswith("x") else "s")


def _english_ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
