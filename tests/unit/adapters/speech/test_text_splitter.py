from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
