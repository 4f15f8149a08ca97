"""The table of texts and their spoken words, and hostile texts."""

from __future__ import annotations

import csv
import gc
import re
import time
import unicodedata
from pathlib import Path

import pytest

from adapters.speech.normalization import normalize, spell_numbers
from adapters.speech.text_splitter import split_text

TABLE = Path(__file__).with_name("normalization_table.tsv")
ROWS = list(csv.DictReader(TABLE.read_text("utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def words(text: str, language: str) -> str:
    """Return the words of `text` without marks; Chinese without spaces, English without the `and` of a number."""
    text = "".join(c if unicodedata.category(c)[0] in "LMN" or c == "'" else " " for c in text.lower())
    text = ("" if language == "zh" else " ").join(text.split())
    return text.replace("hundred and ", "hundred ") if language == "en" else text


def test_table_has_400_lines_and_a_third_of_them_in_other_languages_than_english() -> None:
    assert len(ROWS) >= 400
    assert sum(row["language"] != "en" for row in ROWS) * 3 >= len(ROWS)
    assert {row["language"] for row in ROWS} == {"en", "es", "fr", "pt", "it", "hi", "zh"}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['language']}-{row['class']}-{row['written']}" for row in ROWS])
def test_written_text_becomes_its_spoken_words(row: dict[str, str]) -> None:
    language = row["language"]
    spoken = words(spell_numbers(normalize(row["written"], language), language), language)
    assert spoken in [words(allowed, language) for allowed in row["spoken"].split("|")]


@pytest.mark.parametrize("row", [row for row in ROWS if row["language"] == "zh"], ids=lambda row: row["written"])
def test_normalized_chinese_has_no_digits_left(row: dict[str, str]) -> None:
    assert not re.search(r"\d", normalize(row["written"], "zh"))


HOSTILE = [
    ("en", unit)
    for unit in (
        " ", "\t", "\n ", ".", "”", "—1", "- ", "(", "[a](", "<b", "&", "$1 ", "1", "1,", "1-", "1 ", "½", "10² ", "a",
        "A. ", "@a", "x=", "a.com ", "\u0301\u0327", "中", '1" a ', "5-in", "mg/", "1 mg/", "#", "\u03b1", "C+",
        "Pvt. ", "5 Nov ", "9/", "3-4-", ", TX ", "dollars/",
    )
]  # fmt: skip
HOSTILE += [("zh", unit) for unit in (" ", "1", "1-", "中", "一", "中1")] + [
    ("fr", unit) for unit in ("1 ", "1.", "a@", "9h-", "lun.-", "1 a")
]
SHORT, LONG = 4_000, 32_000


def processor_time(unit: str, length: int, language: str) -> float:
    text = (unit * (length // len(unit) + 1))[:length]
    gc.disable()  # a collection takes as long as all the objects of the test process are many
    begun = time.thread_time()
    try:
        normalized = normalize(text, language)
        spell_numbers(normalized, language)
        assert "".join(part.text for part in split_text(normalized)) == normalized
        return time.thread_time() - begun
    finally:
        gc.enable()


@pytest.mark.parametrize(("language", "unit"), HOSTILE, ids=ascii)
def test_time_of_a_hostile_text_grows_with_its_length(language: str, unit: str) -> None:
    """Compare 4,000 characters with 32,000: linear work takes 8 times as long, quadratic work 64 times.

    Work that is linear passes at the first attempt, unless the machine was disturbed; quadratic work passes at none.
    """
    for _ in range(5):
        short, long = (processor_time(unit, length, language) for length in (SHORT, LONG))
        if long < 24 * max(short, 0.005):
            return
    pytest.fail(f"{LONG} characters took {long:.3f} s, {SHORT} characters {short:.3f} s")
