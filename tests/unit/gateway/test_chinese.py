"""Chinese text in the other script."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.core.chinese import config_of, converted
from tritone.transcript import Segment, Transcript, Word


def transcript(*words: str, language: str = "zh") -> Transcript:
    timed = tuple(Word(i, i + 1.0, word, 0.9) for i, word in enumerate(words))
    return Transcript(language, 0.9, (Segment(0.0, float(len(words)), "".join(words), (1, 2), words=timed),))


def words_of(found: Transcript) -> list[tuple[float, float, str]]:
    return [(word.start, word.end, word.text) for segment in found.segments for word in segment.words]


@pytest.mark.parametrize(
    ("config", "given", "right"),
    [
        ("s2t", "头发发现了，皇后在后面", "頭髮發現了，皇后在後面"),
        ("s2twp", "内存里的软件", "記憶體裡的軟體"),
        ("t2s", "頭髮發現了，皇后在後面", "头发发现了，皇后在后面"),
    ],
)
def test_text_and_words_are_converted_with_their_context(config: str, given: str, right: str) -> None:
    found = converted(transcript(*given), config)
    assert found.segments[0].text == right
    assert "".join(text for _, _, text in words_of(found)) == right
    assert found.segments[0].tokens == (1, 2)


def test_words_keep_their_times_where_a_term_gets_longer() -> None:
    assert words_of(converted(transcript("内", "存", "里"), "s2twp"))[-1] == (2.0, 3.0, "裡")
    assert all(text for _, _, text in words_of(converted(transcript(*"计算机程序"), "s2twp")))


def test_word_of_which_nothing_is_left_lends_its_time_to_the_word_before() -> None:
    given = "記憶體裡"
    back = words_of(converted(transcript(*given), "tw2sp"))
    assert "".join(text for _, _, text in back) == "内存里"
    assert (back[0][0], back[-1][1]) == (0.0, 4.0)
    assert all(before[1] == after[0] for before, after in pairwise(back))


@pytest.mark.parametrize("language", ["ja", "en", "ko", "unknown"])
def test_other_languages_stay_as_they_are(language: str) -> None:
    given = transcript(*"发现", language=language)
    assert converted(given, "s2t") is given


def test_text_without_a_language_is_chinese_by_its_characters() -> None:
    assert converted(transcript(*"发现", language=""), "s2t").segments[0].text == "發現"
    for other in ("发现の", "hello", "발견 发现"):
        given = transcript(other, language="")
        assert converted(given, "s2t") is given


def test_cantonese_is_chinese() -> None:
    assert converted(transcript(*"发现", language="yue"), "s2t").segments[0].text == "發現"


def test_script_names_the_conversion() -> None:
    assert [config_of(script, "s2twp") for script in ("traditional", "simplified", None)] == ["s2twp", "t2s", ""]
