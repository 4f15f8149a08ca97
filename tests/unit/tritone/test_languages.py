"""Names and codes of languages."""

import langcodes
import pytest

from tools.language_codes import FILE, language_codes
from tritone.languages import NAMES, candidates_of, code_of, is_auto


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("en", "en"),
        ("English", "en"),
        ("pt-BR", "pt"),
        ("zh_CN", "zh"),
        ("Mandarin", "zh"),
        (" KO ", "ko"),
        ("nb", "no"),
        ("nb-NO", "no"),
        ("nob", "no"),
        ("nno", "nn"),
        ("eng", "en"),
        ("ger", "de"),
        ("deu-AT", "de"),
        ("fil-PH", "tl"),
        ("Filipino", "tl"),
        ("iw", "he"),
        ("in", "id"),
        ("jv", "jw"),
        ("cmn", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("zho", "zh"),
        ("zh-yue", "yue"),
        ("zh-cmn-Hant-TW", "zh"),
        ("zh-Hant-HK", "zh"),
        ("arz", "ar"),
        ("sr-Latn-RS", "sr"),
        ("de_DE.UTF-8", "de"),
        ("haw-US", "haw"),
        ("es-419", "es"),
        ("xx", None),
        ("xx-YY", None),
        ("klingon", None),
        ("tlh", None),
        ("", None),
        ("-", None),
        ("auto", None),
    ],
)
def test_code_tag_and_name_give_the_code(language: str, code: str | None) -> None:
    assert code_of(language) == code


def test_name_of_a_language_gives_its_code() -> None:
    assert [code_of(name) for name in NAMES.values()] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_standard_code_of_a_language_gives_its_code(name: str) -> None:
    language = langcodes.Language.get(name)
    expected = {"nb": "no"}.get(name, name)
    assert code_of(language.to_alpha3()) == expected
    assert code_of(language.to_alpha3(variant="B")) == expected
    assert code_of(f"{language.to_tag()}-US") == expected


def test_the_table_of_codes_is_that_of_the_registry() -> None:
    assert language_codes() == FILE.read_text()


@pytest.mark.parametrize(("language", "auto"), [("auto", 1), ("Auto", 1), (" AUTO ", 1), ("", 1), (None, 1), ("en", 0)])
def test_auto_and_nothing_leave_the_choice_to_the_model(language: str | None, auto: bool) -> None:
    assert is_auto(language) == auto


@pytest.mark.parametrize(
    ("languages", "codes"),
    [("auto", ()), ("German", ("de",)), ("en, ko", ("en", "ko")), ("pt-BR,pt,klingon", ("pt",)), ("", ())],
)
def test_candidates_are_the_known_languages_of_a_list(languages: str, codes: tuple[str, ...]) -> None:
    assert candidates_of(languages) == codes
