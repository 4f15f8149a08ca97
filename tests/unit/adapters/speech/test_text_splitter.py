from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speech.normalization import normalize
from adapters.speech.text_splitter import FIRST, LONGEST, STRETCH, Break, TextPart, split_text

PROSE = (
    "It was a bright cold day in April, and the clocks were striking thirteen. Winston Smith, his chin nuzzled into "
    "his breast in an effort to escape the vile wind, slipped quickly through the glass doors of Victory Mansions, "
    "though not quickly enough to prevent a swirl of gritty dust from entering along with him. The hallway smelt of "
    "boiled cabbage and old rag mats. At one end of it a coloured poster, too large for indoor display, had been "
    "tacked to the wall."
)


def texts(text: str) -> list[str]:
    return [part.text for part in split_text(text)]


@given(st.text(alphabet=st.sampled_from('ab .,!?;:—…\n"”()A1中文。')))
def test_parts_together_are_the_text(text: str) -> None:
    assert "".join(texts(text)) == text


@given(st.text(min_size=2))
def test_halves_together_are_the_part_and_are_not_empty(text: str) -> None:
    first, second = TextPart(text, Break.LINE).halves()
    assert first.text + second.text == text
    assert first.text
    assert second.text
    assert second.end == Break.LINE


@given(st.text(alphabet="ab .,", max_size=2000))
def test_part_length_is_limited(text: str) -> None:
    assert all(len(part) <= LONGEST * STRETCH for part in texts(text))


def test_short_text_is_one_part() -> None:
    assert texts("The quick brown fox jumps over the lazy dog.") == ["The quick brown fox jumps over the lazy dog."]


def test_first_part_is_short_and_later_parts_grow() -> None:
    lengths = [len(part) for part in texts(PROSE)]
    assert lengths[0] <= FIRST * STRETCH
    assert lengths[1] > lengths[0]
    assert len(lengths) < 8


def test_first_part_ends_at_a_clause() -> None:
    assert texts(PROSE)[0] == "It was a bright cold day in April, "


def test_first_part_of_a_text_without_marks_is_a_few_words() -> None:
    assert texts(PROSE.replace(",", "").replace(".", ""))[0] == "It was a bright cold day in "


def test_very_short_clause_is_not_a_part() -> None:
    assert texts("Well, this here is something that you might like to hear about.")[0] != "Well, "


def test_later_part_ends_at_the_end_of_a_sentence() -> None:
    assert texts(PROSE)[1] == "and the clocks were striking thirteen. "
    assert list(split_text(PROSE))[1].end == Break.SENTENCE


def test_initials_and_a_small_letter_do_not_end_a_sentence() -> None:
    text = "J. R. R. Tolkien of the U.S. Army asked “Really?” and left."
    assert {part.end for part in split_text(text)} <= {Break.WORD, Break.CLAUSE, Break.SENTENCE}
    assert [part.end for part in split_text(text)].count(Break.SENTENCE) == 1


def test_part_before_a_line_break_ends_with_a_line() -> None:
    assert next(iter(split_text("This is a heading of a page.\n" + PROSE))) == TextPart(
        "This is a heading of a page.\n", Break.LINE
    )


def test_chinese_character_counts_as_four_letters() -> None:
    assert len(texts("我今天早上去市场买了很多新鲜的水果和蔬菜因为晚上有朋友要来")[0]) <= FIRST / 4


def test_very_long_word_is_split() -> None:
    assert max(map(len, texts("a" * 5000))) <= LONGEST * STRETCH


def test_halves_are_split_at_the_best_break_near_the_middle() -> None:
    first, second = TextPart("One two three. Four five, six seven eight.", Break.SENTENCE).halves()
    assert (first, second) == (
        TextPart("One two three. ", Break.SENTENCE),
        TextPart("Four five, six seven eight.", Break.SENTENCE),
    )


@pytest.mark.parametrize(
    ("language", "text", "whole"),
    [
        ("en", "978-3-16-148410-0 is the number of the book.", "9 7 8, 3, 1 6, 1 4 8 4 1 0, 0"),
        ("en", "1234567890123 is the number.", "1234567890123"),
        ("en", "1,234,567,890,123 dollars were spent.", "1,234,567,890,123"),
        ("en", "Please note that the code is 4111111111111111, do not share it.", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ("en", "https://github.com/user/repo/issues/123456 is fixed now.", "github.com/user/repo/issues/123456"),
        ("en", "Please call our new office at 555-123-4567 today.", "5 5 5, 1 2 3, 4 5 6 7"),
        ("en", "The constitution was written in the year 1787 and ratified.", "17 87"),
        ("es", "El número es 12345678901234567890 y ya está.", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0"),
        ("hi", "मेरा नंबर ९८७६५४३२१०१२३४५ है कृपया लिखें", "987654321012345"),
        ("zh", "会议即将于2025年在北京举行届时欢迎各位朋友前来参加", "二零二五年"),
        ("zh", "客服电话是13800138000请在工作时间拨打", "幺三八零零幺三八零零零"),
        ("zh", "这个项目的总预算是12345678元人民币左右吧", "一千二百三十四万五千六百七十八元"),
        ("zh", "我今天想去北京大学图书馆看书然后再去吃饭", "北京大学"),
    ],
)
def test_number_or_chinese_word_is_in_one_part(language: str, text: str, whole: str) -> None:
    assert any(whole in part for part in texts(normalize(text, language)))


def test_number_is_in_one_part_with_the_word_that_it_counts() -> None:
    assert texts(normalize("My flight leaves at 9:00 and lands at 12:00.", "en"))[0] == "My flight leaves at "
    assert texts("It took us about 45 minutes to get there and 30 hours to get back home.")[0] == "It took us about "


def test_year_at_any_place_of_a_chinese_sentence_is_in_one_part() -> None:
    sentence = "我们公司计划在未来几年里逐步扩大国际市场的业务范围并且提高产品质量和服务水平"
    for place in range(len(sentence)):
        text = normalize(f"{sentence[:place]}2025年{sentence[place:]}", "zh")
        assert any("二零二五年" in part for part in texts(text)), text


def test_chinese_text_without_marks_is_split_between_words_only() -> None:
    import jieba

    text = "我们公司计划在未来几年里逐步扩大国际市场的业务范围并且提高产品质量和服务水平"
    text += "同时加强与各地合作伙伴的联系共同推动行业健康发展"
    cuts = set(itertools.accumulate(map(len, texts(text))))
    assert len(cuts) >= 3
    assert cuts <= set(itertools.accumulate(map(len, jieba.lcut(text))))


CHINESE_WORDS = (
    *("北京大学", "图书馆", "我们", "公司", "计划", "未来", "市场", "服务", "水平", "朋友", "学生", "喜欢", "今天"),
    *("国际", "合作伙伴", "提高", "产品质量", "的", "了", "，", "。", "2025年", "3,500元", "12.5%"),
)


@given(st.lists(st.sampled_from(CHINESE_WORDS), min_size=5, max_size=60))
def test_chinese_words_in_any_order_are_split_between_words_only(words: list[str]) -> None:
    import jieba

    text = normalize("".join(words), "zh")
    cuts = set(itertools.accumulate(map(len, texts(text))))
    assert cuts <= set(itertools.accumulate(map(len, jieba.lcut(text))))


@given(st.text(alphabet=st.sampled_from("12345,. ab"), max_size=400), st.sampled_from(["en", "es", "fr", "zh"]))
def test_no_part_of_a_normalized_text_ends_inside_digits(text: str, language: str) -> None:
    parts = texts(normalize(text, language))
    assert not any(a[-1].isdigit() and b[0].isdigit() for a, b in itertools.pairwise(parts))


def test_number_longer_than_a_part_is_split_all_the_same() -> None:
    parts = texts(normalize("7" * 1000, "en"))
    assert len(parts) > 2
    assert "".join(parts).replace(" ", "") == "7" * 1000
