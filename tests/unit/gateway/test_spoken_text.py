"""A text that is being written, cut into the parts that are spoken."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_stream import SentenceBoundaryDetector

from gateway.core.spoken_text import ClauseCutter


def parts(*texts: str, most: int = 500) -> list[str]:
    cutter = ClauseCutter(most)
    return [part for text in texts for part in cutter.add(text)] + [*cutter.finish()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Good morning. How are you? Fine.", ["Good morning.", "How are you?", "Fine."]),
        ("Dr. Smith left at 5 a.m. for it. He ran.", ["Dr. Smith left at 5 a.m. for it.", "He ran."]),
        ("좋은 아침입니다. 오늘은 맑습니다.", ["좋은 아침입니다.", "오늘은 맑습니다."]),
        ("早上好。今天天气很好！", ["早上好。", "今天天气很好！"]),
        ("# Plan\n\nFirst **this**, then `that`.\n", ["Plan", "First this, then that."]),
        ("- Milk\n- *Two* eggs\n", ["Milk", "Two eggs"]),
        ("1. Milk\n2. Eggs\n", ["1. Milk", "2. Eggs"]),
        ("See [the page](https://example.com/a?b=1) now.", ["See the page now."]),
        ("Run this:\n```python\nprint('Hello. World')\n```\nDone.", ["Run this:", "Done."]),
        ("| a | b |\n|---|---|\n| one | two |\n", ["a b", "one two"]),
        ("3 * 4 is 12.", ["3 * 4 is 12."]),
        ("Set my_first_name to _this_ one.", ["Set my_first_name to this one."]),
        ("42", ["42"]),
        ("…!", []),
        ("", []),
    ],
)
def test_a_text_becomes_its_sentences_in_plain_words(text: str, wanted: list[str]) -> None:
    assert parts(text) == wanted
    assert parts(*text) == wanted


def test_a_sentence_is_ready_as_soon_as_the_next_one_begins() -> None:
    cutter = ClauseCutter()
    assert list(cutter.add("Good morning")) == []
    assert list(cutter.add(". How")) == ["Good morning."]


def test_a_chinese_sentence_is_ready_with_the_next_token() -> None:
    cutter = ClauseCutter()
    assert list(cutter.add("早上好。")) == []
    assert list(cutter.add("今")) == ["早上好。"]


LONG = "When the rain had stopped at last and the sun came out again, the children ran, "


def test_the_first_clause_of_a_long_sentence_is_spoken_alone() -> None:
    cutter = ClauseCutter()
    (first,) = [part for letter in LONG for part in cutter.add(letter)]
    assert first == "When the rain had stopped at last and the sun came out again,"
    assert list(cutter.add("laughing. Then")) == ["the children ran, laughing."]
    assert list(cutter.add(f" {LONG}")) == []


def test_a_first_clause_of_chinese_is_measured_by_its_speech() -> None:
    cutter = ClauseCutter()
    assert [part for letter in "雨终于停了，太阳又出来了，孩子们都跑到外面去了" for part in cutter.add(letter)] == [
        "雨终于停了，太阳又出来了，"
    ]


def test_no_number_is_cut_at_its_comma() -> None:
    assert parts("The whole bill of that long and rather strange year came to 1,250,000 euros.") == [
        "The whole bill of that long and rather strange year came to 1,250,000 euros."
    ]


def test_a_text_without_ends_is_cut_at_words() -> None:
    cut = parts(*("word " * 300), most=100)
    assert " ".join(cut).split() == ["word"] * 300
    assert max(map(len, cut)) <= 100


@given(st.lists(st.text(alphabet="ab1 .,\n*#`|。，"), max_size=30), st.integers(20, 60))
def test_parts_are_never_empty_nor_too_long(texts: list[str], most: int) -> None:
    for part in parts(*texts, most=most):
        assert 0 < len(part) <= most
        assert part == part.strip()
        assert any(letter.isalnum() for letter in part)


@given(st.lists(st.sampled_from(["Ann ", "ran. ", "Bob ", "sat, ", "then! ", "早上", "好。", "\n"]), max_size=40))
def test_no_word_is_lost_nor_spoken_twice(texts: list[str]) -> None:
    spoken = "".join(parts(*texts))
    assert "".join(spoken.split()) == "".join("".join(texts).split())


def test_a_long_text_is_looked_through_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    add = SentenceBoundaryDetector.add_chunk

    def measured(self: SentenceBoundaryDetector, chunk: str) -> Iterable[str]:
        sizes.append(len(chunk))
        return add(self, chunk)

    monkeypatch.setattr(SentenceBoundaryDetector, "add_chunk", measured)
    sentences = [f"This is the sentence {index} of them." for index in range(1000)]
    assert parts(" ".join(sentences)) == sentences
    assert max(sizes) <= 2000
