# ruff: noqa: RUF001  (phonemes look like Latin letters)

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.kokoro import phonemes
from adapters.kokoro.phonemes import Phonemizer


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello world.", "həlˈO wˈɜɹld."),
        ("My boy joined now, they say.", "mI bˈY ʤˈYnd nˈW, ðA sˈA."),
        ("A better button for the church?", "ə bˈɛTəɹ bˈʌtᵊn fɚðə ʧˈɜɹʧ?"),
    ],
)
def test_american_english_uses_the_letters_of_kokoros_training(
    phonemizer: Phonemizer, text: str, phonemes: str
) -> None:
    assert phonemizer(text, "en-us") == phonemes.replace("ɚ", "əɹ")


def test_british_english_keeps_its_long_vowels(phonemizer: Phonemizer) -> None:
    assert phonemizer("The car is over there.", "en-gb") == "ðə kˈɑːɹ ɪz ˌQvə ðˈɛː."


@pytest.mark.parametrize("accent", ["en-us", "en-gb"])
def test_pronoun_i_has_a_stress(phonemizer: Phonemizer, accent: str) -> None:
    phonemes = phonemizer("I see. If I may, I'm here; I'll go.", accent).replace("ː", "")
    assert [word.strip(".,;") for word in phonemes.split() if "I" in word] == ["ˌI", "ˌI", "ˌIm", "ˌIl"]
    assert "ˈIlənd Id" in phonemizer("Island ideas.", accent)


def test_marks_that_make_pauses_are_kept(phonemizer: Phonemizer) -> None:
    assert phonemizer('Yes; "no" (maybe)… well — go!', "en-us") == 'jˈɛs; "nˈO" (mˈAbi)… wˈɛl — ɡˈO!'


def test_dot_inside_a_number_or_a_name_is_read(phonemizer: Phonemizer) -> None:
    assert "pYnt" in phonemizer("3.14", "en-us")
    assert "dˈɑt" in phonemizer("example.com/a?b", "en-us")
    assert "pˈunto" in phonemizer("google.es", "es")


@pytest.mark.parametrize("accent", ["en-us", "en-gb", "es", "fr-fr", "it", "pt-br", "hi"])
def test_phonemes_of_every_alphabet_have_no_ties_or_language_flags(phonemizer: Phonemizer, accent: str) -> None:
    phonemes = phonemizer("Le weekend, chicago", accent)
    assert phonemes
    assert not set("(){}\u0361-_") & set(phonemes)


def test_mandarin_has_tones_and_reads_numbers(phonemizer: Phonemizer) -> None:
    assert phonemizer("你好, 2024年", "zh") == "ni↓xau↓, ɚ↘li↗ŋɚ↘ sɨ↘njɛ↗n"


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("银行行长", "i↗nxa↗ŋxa↗ŋꭧa↓ŋ"),
        ("他还钱了", "tʰa→ xwa↗nʨʰjɛ↗n lɤ"),
        ("重做", "ꭧʰʊ↗ŋʦwo↘"),
        ("长得很高", "ꭧa↓ŋtɤ xə↓n kau→"),
    ],
)
def test_mandarin_characters_with_two_readings_are_read_by_their_word(
    phonemizer: Phonemizer, text: str, phonemes: str
) -> None:
    assert phonemizer(text, "zh") == phonemes


def test_latin_words_inside_chinese_are_read_in_english(phonemizer: Phonemizer) -> None:
    assert "pˈIθən" in phonemizer("我喜欢Python", "zh")


def test_chinese_words_inside_english_are_read_in_mandarin(phonemizer: Phonemizer) -> None:
    assert "ni↓xau↓" in phonemizer("They say 你好 there.", "en-us")


def test_character_without_a_reading_is_skipped(phonemizer: Phonemizer) -> None:
    assert phonemizer("你瓧好", "zh") == "ni↓ xau↓"


def test_empty_text_has_no_phonemes(phonemizer: Phonemizer) -> None:
    assert phonemizer("", "en-us") == phonemizer(" ", "zh") == ""


def test_dictionary_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jieba

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(jieba, "dt", jieba.Tokenizer())
    phonemes._load_mandarin.cache_clear()
    assert callable(Phonemizer().mandarin)
    assert not list(tmp_path.glob("*jieba*"))


def test_dictionary_is_loaded_at_the_first_chinese_text() -> None:
    phonemes._load_mandarin.cache_clear()
    phonemizer = Phonemizer()
    assert phonemizer("Hello.", "en-us")
    assert phonemes._load_mandarin.cache_info().currsize == 0
    assert phonemizer("你好", "zh")
    assert phonemes._load_mandarin.cache_info().currsize == 1
