"""Numbers in the gender of the noun after them: doscientas mujeres, duas horas, vingt et une femmes, un libro."""

from __future__ import annotations

import re
from collections.abc import Callable

from adapters.speech.normalization.numerals import cardinal

_NUMBER = re.compile(
    r"(?<![\w.,-])(?P<number>\d{1,3}(?:\.\d{3}){1,2}|\d{1,6})(?= (?P<noun>[^\W\d_]{3,20})(?![\w'’]))(?!\.\d)"
)
_LABEL = re.compile(
    r"(?:n[uú]mero|p[aá]ginas?|cap[ií]tulo|art[ií]culo|artigo|l[ií]n(?:ea|ha)|opci[oó]n|op[cç][aã]o|n[ií]vel|nivel|tipo|"
    r"fase|paso|passo|grupo|canal|tema|unidade?|secci[oó]n|se[cç][aã]o|parte|tomo|volumen?|d[ií]a|sala|quarto|figura|"
    r"tabla|tabela|numero|pagina|capitolo|articolo|livello|passo|gruppo|canale|parte|linea|binario|piso|andar|piano|"
    r"chapitre|article|ligne|niveau|num[ée]ro|page|groupe|étape|partie|versi[oó]n|vers[aã]o|versione|G|F|COVID|"
    r"habitación|ejercicio|exercício|esercizio|l[ae]s?|at[eé]|às?) $"
)
"""The text before a number that is the name of something and not an amount."""
_FEMININE = {
    "es": re.compile(
        r"(?:\w*(?:[aá]s|ciones|siones|dades|tudes)|mujeres|veces|flores|noches|tardes|clases|calles|imágenes|voces|"
        r"llaves|naves|nubes|partes|luces|paredes|leyes|redes|series|especies|razones|madres)"
    ),
    "pt": re.compile(
        r"(?:\w*(?:as|ções|sões|dades|gens|tudes)|mulheres|vezes|flores|noites|tardes|classes|mães|vozes|chaves|partes|"
        r"luzes|paredes|leis|redes|séries|espécies|razões|mãos|cores|ordens)"
    ),
}
"""Feminine nouns in the plural, by their endings."""
_MASCULINE = re.compile(
    r"(?:d[ií]as?|problemas?|programas?|sistemas?|temas?|mapas?|idiomas?|planetas?|poemas?|climas?|turistas?|artistas?|"
    r"atletas?|m[eé]dicos|sof[aá]s?|dramas?|diplomas?|esquemas?|síntomas?|sintomas?|teoremas?|panoramas?|cometas?|"
    r"pianistas?|ciclistas?|deportistas?|gramas?|quilogramas?|miligramas?|telegramas?|diagramas?|cinema|sof[aá]|"
    r"poetas?|colegas?|guardas?|papas?|pijamas?|gorilas?|dilemas?|emblemas?|aromas?|enigmas?|atlas|gas|gás|mas|más|tras|"
    r"las|unas|estas|esas|aquellas|todas|muchas|algunas|ellas|nuestras|as|umas|essas|aquelas|muitas|algumas|elas|"
    r"nossas|apenas|além|aliás|atrás|depois|antes|mais|para|hasta|pela|era|est[aá]|ahora|agora|cada|sea|ya|contra|"
    r"sobre|entre|desde|cuando|quando|como|pero|porque|donde|onde|que|con|com|por|sin|sem|son|são|del|los|dos|das|"
    r"fue|foi|sono|della|dalla|alla|dopo|prima|anche|per|della|non|più|cosa)"
)
"""Masculine nouns with a feminine ending, and words that begin no noun."""
_FRENCH = re.compile(
    r"(?:femmes?|filles?|personnes?|heures?|minutes?|secondes?|années?|semaines?|journées?|nuits?|pages?|fois|pièces?|"
    r"voitures?|maisons?|villes?|voix|tables?|chaises?|chambres?|places?|étoiles?|équipes?|écoles?|familles?|lettres?|"
    r"langues?|photos?|images?|vidéos?|questions?|réponses?|leçons?|règles?|marches?|bouteilles?|tasses?|pommes?|"
    r"voies?|rues?|lignes?|îles?|tonnes?|victoires?|défaites?|parties?|fleurs?|chansons?|histoires?|idées?|élèves?|"
    r"cuillères?|tranches?|bougies?|dents?|mains?|portes?|fenêtres?|clés?|livres? sterling)"
)
"""Common feminine nouns; French endings do not show the gender."""


def agree(text: str, code: str) -> str:
    """Return `text` with its numbers before a noun as words, where the noun changes them."""
    rule = _RULES.get(code)
    if not rule:
        return text

    def replace(match: re.Match[str]) -> str:
        if _LABEL.search(match.string, max(0, match.start() - 16), match.start()):
            return match[0]
        number = int(match["number"].replace(".", ""))
        if 1900 <= number < 2100 and "." not in match["number"]:
            return match[0]  # a year
        return rule(number, match["noun"].lower()) or match[0]

    return _NUMBER.sub(replace, text)


def _ends_in(number: int, *ends: int) -> bool:
    return number % 10 in ends and number % 100 not in (11, 12)


def _singular(noun: str, feminine: str, masculine: str) -> str | None:
    if _MASCULINE.fullmatch(noun):
        return masculine if noun.endswith(("a", "á")) and noun in ("día", "dia", "problema", "programa") else None
    return feminine if noun.endswith(("a", "ción", "sión", "dad", "ção", "são", "dade", "gem", "zione")) else masculine


def _spanish(number: int, noun: str) -> str | None:
    if number == 1:
        return _singular(noun, "una", "un") if not noun.endswith("s") else None
    feminine = bool(_FEMININE["es"].fullmatch(noun)) and not _MASCULINE.fullmatch(noun)
    if not noun.endswith("s") or not (_ends_in(number, 1) or (feminine and number % 1000000 >= 200)):
        return None
    words = cardinal(str(number), "es")
    if feminine:
        return re.sub(r"uno$", "una", words.replace("ientos", "ientas"))
    if _MASCULINE.fullmatch(noun) and noun not in ("días", "problemas", "programas", "sistemas"):
        return None
    return re.sub(r"uno$", "un", words.replace("veintiuno", "veintiún"))


def _portuguese(number: int, noun: str) -> str | None:
    if number == 1:
        return _singular(noun, "uma", "um") if not noun.endswith("s") else None
    if not _FEMININE["pt"].fullmatch(noun) or _MASCULINE.fullmatch(noun):
        return None
    words = cardinal(str(number), "pt")
    feminine = re.sub(r"\bum$", "uma", re.sub(r"\bdois\b", "duas", re.sub(r"entos\b", "entas", words)))
    return feminine if feminine != words else None


def _italian(number: int, noun: str) -> str | None:
    if number != 1 or noun.endswith(("i", "e")):
        return None
    one = _singular(noun, "una", "un")
    return "uno" if one == "un" and re.match(r"s[^aeiou]|z|ps|gn", noun) else one


def _french(number: int, noun: str) -> str | None:
    if not _ends_in(number, 1) or number % 100 in (71, 91) or not _FRENCH.fullmatch(noun):
        return None
    return cardinal(str(number), "fr") + "e"


_RULES: dict[str, Callable[[int, str], str | None]] = {
    "es": _spanish, "pt": _portuguese, "it": _italian, "fr": _french,
}  # fmt: skip
