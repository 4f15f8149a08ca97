from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.written_words import letters_of, written_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Good morning, world.", ["Good", " morning,", " world."]),
        ("well-known don't (yes) \u2014 and\u2014or", ["well-known", " don't", " (yes) \u2014", " and\u2014", "or"]),
        ("... It costs $5 !", ["... It", " costs", " $5 !"]),
        ("你好，Python 3。“再见”", ["你", "好，", "Python", " 3。", "“再", "见”"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ"]),
        ("안녕 세계", ["안녕", " 세계"]),
        ("...", []),
        ("", []),
    ],
)
def test_words_are_those_of_the_text_and_characters_of_scripts_without_spaces(text: str, words: list[str]) -> None:
    assert written_words(text) == words


@given(st.text(alphabet="aé1你カ안ัก .,-\u2014…“”()\n!", max_size=30))
def test_words_together_are_the_text_and_each_has_a_letter(text: str) -> None:
    words = written_words(text)
    if words:
        assert "".join(words) == " ".join(text.split())
        assert all(map(letters_of, words))
    else:
        assert not letters_of(text)
