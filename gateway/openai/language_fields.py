"""Languages in the fields of requests."""

from __future__ import annotations

from collections.abc import Iterable

from tritone import languages


def known_code(language: str) -> str:
    """Return the code of a language; raises `ValueError` for an unknown one."""
    code = languages.code_of(language)
    if code is None:
        raise ValueError(f"{language!r} is unknown; send an ISO 639 code such as `en`")
    return code


def optional_code(language: str | None) -> str | None:
    """Return the code of a language, or None where it is to be detected; raises `ValueError` for an unknown one."""
    return None if language is None or languages.is_auto(language) else known_code(language)


def candidate_codes(candidates: Iterable[str]) -> list[str]:
    """Return the code of each language once, without blanks and `auto`; raises `ValueError` for an unknown one."""
    return list(dict.fromkeys(known_code(name) for name in candidates if not languages.is_auto(name)))
