"""Names and codes of languages."""

from __future__ import annotations

import tomllib
from pathlib import Path

NAMES = {
    "af": "afrikaans",
    "am": "amharic",
    "ar": "arabic",
    "as": "assamese",
    "az": "azerbaijani",
    "ba": "bashkir",
    "be": "belarusian",
    "bg": "bulgarian",
    "bn": "bengali",
    "bo": "tibetan",
    "br": "breton",
    "bs": "bosnian",
    "ca": "catalan",
    "cs": "czech",
    "cy": "welsh",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fo": "faroese",
    "fr": "french",
    "gl": "galician",
    "gu": "gujarati",
    "ha": "hausa",
    "haw": "hawaiian",
    "he": "hebrew",
    "hi": "hindi",
    "hr": "croatian",
    "ht": "haitian creole",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "is": "icelandic",
    "it": "italian",
    "ja": "japanese",
    "jw": "javanese",
    "ka": "georgian",
    "kk": "kazakh",
    "km": "khmer",
    "kn": "kannada",
    "ko": "korean",
    "la": "latin",
    "lb": "luxembourgish",
    "ln": "lingala",
    "lo": "lao",
    "lt": "lithuanian",
    "lv": "latvian",
    "mg": "malagasy",
    "mi": "maori",
    "mk": "macedonian",
    "ml": "malayalam",
    "mn": "mongolian",
    "mr": "marathi",
    "ms": "malay",
    "mt": "maltese",
    "my": "myanmar",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "nynorsk",
    "no": "norwegian",
    "oc": "occitan",
    "pa": "punjabi",
    "pl": "polish",
    "ps": "pashto",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sa": "sanskrit",
    "sd": "sindhi",
    "si": "sinhala",
    "sk": "slovak",
    "sl": "slovenian",
    "sn": "shona",
    "so": "somali",
    "sq": "albanian",
    "sr": "serbian",
    "su": "sundanese",
    "sv": "swedish",
    "sw": "swahili",
    "ta": "tamil",
    "te": "telugu",
    "tg": "tajik",
    "th": "thai",
    "tk": "turkmen",
    "tl": "tagalog",
    "tr": "turkish",
    "tt": "tatar",
    "uk": "ukrainian",
    "ur": "urdu",
    "uz": "uzbek",
    "vi": "vietnamese",
    "yi": "yiddish",
    "yo": "yoruba",
    "zh": "chinese",
    "yue": "cantonese",
}
"""ISO 639-1 code (`haw`, `yue`: 639-3; `jw`: Whisper's own code for Javanese) -> English name."""

_CODES = {
    **{code: code for code in NAMES},
    **{
        other: code
        for code, others in tomllib.loads(Path(__file__).with_name("language_codes.toml").read_text()).items()
        for other in others.split()
    },
    **{name: code for code, name in NAMES.items()},
    "mandarin": "zh",
    "castilian": "es",
    "burmese": "my",
    "farsi": "fa",
    "filipino": "tl",
    "flemish": "nl",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "moldavian": "ro",
    "panjabi": "pa",
    "pushto": "ps",
    "sinhalese": "si",
    "valencian": "ca",
}


def is_auto(language: str | None) -> bool:
    """Return whether `language` leaves the choice to the model: absent, empty, or `auto` in any case."""
    return language is None or language.strip().lower() in ("", "auto")


def code_of(language: str) -> str | None:
    """Return the code in `NAMES` of a language; None for other words.

    `language` is an ISO 639-1, -2 or -3 code (`nb`, `eng`), a BCP-47 tag (`pt-BR`, `zh-cmn-Hans`), a locale (`de_DE`)
    or an English name, in any case.
    """
    word = language.strip().lower()
    primary, _, rest = word.replace("_", "-").partition("-")
    # BCP 47: a subtag of three letters in the second place is a language that the first one includes.
    extended = rest.partition("-")[0]
    candidates = (word, extended if len(extended) == 3 else "", primary)
    return next((_CODES[candidate] for candidate in candidates if candidate in _CODES), None)


def candidates_of(languages: str) -> tuple[str, ...]:
    """Return the codes of `languages`, separated by commas, each once; unknown words such as `auto` are skipped."""
    return tuple(dict.fromkeys(code for name in languages.split(",") if (code := code_of(name))))
