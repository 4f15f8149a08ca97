"""Chinese characters with several readings, in sentences: the table mandarin_readings.tsv."""

from __future__ import annotations

import csv
from pathlib import Path

import jieba
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypinyin import Style, lazy_pinyin

from adapters.kokoro.mandarin_readings import respell
from adapters.kokoro.phonemes import Phonemizer

TABLE = Path(__file__).with_name("mandarin_readings.tsv")
ROWS = list(csv.DictReader(TABLE.read_text("utf-8").splitlines(), delimiter="\t"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"])
def test_character_is_read_by_its_neighbours(phonemizer: Phonemizer, row: dict[str, str]) -> None:
    phonemizer("字", "zh")  # loads the dictionary
    words = jieba.lcut(respell(row["text"]))
    syllables = [lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True) for word in words]
    assert row["reading"] in " ".join(syllable for word in syllables for syllable in word)


@given(st.text(alphabet="得地长还只行教数背种我他慢慢高兴一二三说跑的了过，。a1 "))
def test_respelled_text_has_as_many_characters(text: str) -> None:
    assert len(respell(text)) == len(text)
