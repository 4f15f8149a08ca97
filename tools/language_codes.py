"""`python -m tools.language_codes`: write tritone/language_codes.toml.

The codes come from the registry of BCP 47 (with ISO 639 and its macrolanguages), as the package langcodes carries it.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from langcodes import data_dicts

from tritone.languages import NAMES

FILE: Final = Path(__file__).parents[1] / "tritone" / "language_codes.toml"
_OWN: Final = {"jv": "jw", "fil": "tl"}
"""ISO 639 code -> the code of `NAMES`, where these differ: Whisper's own for Javanese, and Tagalog's for Filipino."""


def language_codes() -> str:
    """Return the text of the file: the codes of `NAMES` -> the other codes of the same language."""
    three_letters = (*data_dicts.LANGUAGE_ALPHA3.items(), *data_dicts.LANGUAGE_ALPHA3_BIBLIOGRAPHIC.items())
    shorter = {three: two for two, three in three_letters}
    known = {*_OWN, *shorter, *shorter.values(), *data_dicts.MACROLANGUAGES, *data_dicts.LANGUAGE_REPLACEMENTS}
    codes = defaultdict(list)
    for code in sorted(known):
        if "-" not in code and code not in NAMES and (own := _own_code(code, shorter)):
            codes[own].append(code)
    lines = [
        "# Code of tritone.languages -> other codes of the same language, by ISO 639-1, -2 and -3, with those of the"
    ]
    lines += ["# languages that it includes, and withdrawn ones. Written by `python -m tools.language_codes`."]
    lines += [f'{own} = "{" ".join(codes[own])}"' for own in NAMES if own in codes]
    return "\n".join(lines) + "\n"


def _own_code(code: str, shorter: dict[str, str]) -> str | None:
    """Follow the registry from `code` to a code of `NAMES`."""
    while code not in NAMES:
        found = (
            table.get(code) for table in (_OWN, shorter, data_dicts.LANGUAGE_REPLACEMENTS, data_dicts.MACROLANGUAGES)
        )
        following = next(filter(None, found), None)
        if following is None:
            return None
        code = following.partition("-")[0]
    return code


if __name__ == "__main__":
    FILE.write_text(language_codes())
