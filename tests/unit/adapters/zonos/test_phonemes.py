"""Text as phonemes and as tokens."""

# ruff: noqa: RUF001  (phonemes look like Latin letters)

from __future__ import annotations

import pytest

from adapters.zonos.phonemes import Phonemizer
from adapters.zonos.vocabulary import LANGUAGES, SIZE, language_number, token_ids


@pytest.fixture(scope="module")
def phonemizer() -> Phonemizer:
    return Phonemizer()


@pytest.mark.parametrize(
    ("text", "language", "phonemes"),
    [
        ("Hello, world! Isn't it?", "en", "həlˈoʊ, wˈɜːld! ˈɪzənt ɪt?"),
        ("Bonjour !", "fr", "bɔ̃ʒˈuʁ !"),
        ("안녕하세요.", "ko", "ˈɐnnjʌŋhˌɐsejˌo."),
        ("你好!", "zh", "ni2χˈɑu2!"),
        (" two\nlines ", "en", "tˈuː lˈaɪnz"),
        ("?!", "en", "?!"),
    ],
)
def test_text_keeps_its_marks_and_its_words_become_phonemes(
    phonemizer: Phonemizer, text: str, language: str, phonemes: str
) -> None:
    assert phonemizer(text, language) == phonemes


def test_every_language_has_a_voice_and_a_number(phonemizer: Phonemizer) -> None:
    assert all(phonemizer("a", language) for language in LANGUAGES)
    assert (language_number("en"), language_number("ko"), language_number("zh")) == (24, 58, 12)
    assert "ja" not in LANGUAGES


def test_tokens_are_numbers_of_the_vocabulary() -> None:
    assert token_ids(";A~ɑ\u00ff") == [2, 4, 28, 23, 80, 1, 3]
    assert all(token < SIZE for token in token_ids("ᵻ'ˈ"))


def test_a_long_text_is_split_into_parts_with_few_phonemes(phonemizer: Phonemizer) -> None:
    text = "It was a quiet morning in the harbour. " * 12
    parts = list(phonemizer.parts(text, "en", chars=240, phonemes=200))
    assert len(parts) > 2
    assert all(len(part) <= 200 for part in parts)
    assert " ".join(parts) == phonemizer(text, "en")
    assert list(phonemizer.parts("1234567890" * 3, "ko", chars=240, phonemes=40)), "without a place to split it"


def test_numbers_are_written_out_by_the_rules_of_the_language(phonemizer: Phonemizer) -> None:
    (part,) = phonemizer.parts("It costs $5.", "en", chars=240, phonemes=200)
    assert part == phonemizer("It costs five dollars.", "en")
