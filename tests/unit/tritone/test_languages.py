"""Names and codes of languages."""

import pytest

from tritone.languages import NAMES, candidates_of, code_of


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("en", "en"),
        ("English", "en"),
        ("pt-BR", "pt"),
        ("zh_CN", "zh"),
        ("Mandarin", "zh"),
        (" KO ", "ko"),
        ("xx", None),
    ],
)
def test_code_tag_and_name_give_the_code(language: str, code: str | None) -> None:
    assert code_of(language) == code


def test_name_of_a_language_gives_its_code() -> None:
    assert [code_of(name) for name in NAMES.values()] == list(NAMES)


@pytest.mark.parametrize(
    ("languages", "codes"),
    [("auto", ()), ("German", ("de",)), ("en, ko", ("en", "ko")), ("pt-BR,pt,klingon", ("pt",)), ("", ())],
)
def test_candidates_are_the_known_languages_of_a_list(languages: str, codes: tuple[str, ...]) -> None:
    assert candidates_of(languages) == codes
