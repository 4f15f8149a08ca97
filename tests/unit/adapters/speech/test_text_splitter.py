from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.kokoro.parts import FIRST, LONGEST, STRETCH, Break, Part, split

PROSE = (
    "It was a bright cold day in April, and the clocks were striking thirteen. Winston Smith, his chin nuzzled into "
    "his breast in an effort to escape the vile wind, slipped quickly through the glass doors of Victory Mansions, "
    "though not quickly enough to prevent a swirl of gritty dust from entering along with him. The hallway smelt of "
    "boiled cabbage and old rag mats. At one end of it a coloured poster, too large for indoor display, had been "
    "tacked to the wall."
)


def texts(text: str) -> list[str]:
    return [part.text for part in split(text)]


@given(st.text(alphabet=st.sampled_from('ab .,!?;:—…\n"”()A1中文。')))
def test_nothing_is_lost_or_doubled(text: str) -> None:
    assert "".join(texts(text)) == text


@given(st.text(min_size=2))
def test_halves_are_the_part_again_and_neither_is_empty(text: str) -> None:
    first, second = Part(text, Break.LINE).halves()
    assert first.text + second.text == text
    assert first.text
    assert second.text
    assert second.end == Break.LINE


@given(st.text(alphabet="ab .,", max_size=2000))
def test_no_part_is_longer_than_the_longest_stretched(text: str) -> None:
    assert all(len(part) <= LONGEST * STRETCH for part in texts(text))


def test_a_short_text_is_one_part() -> None:
    assert texts("The quick brown fox jumps over the lazy dog.") == ["The quick brown fox jumps over the lazy dog."]


def test_the_first_part_is_short_and_the_later_ones_grow() -> None:
    lengths = [len(part) for part in texts(PROSE)]
    assert lengths[0] <= FIRST * STRETCH
    assert lengths[1] > lengths[0]
    assert len(lengths) < 8


def test_the_first_part_ends_at_a_clause_where_there_is_one() -> None:
    assert texts(PROSE)[0] == "It was a bright cold day in April, "


def test_without_marks_the_first_part_is_a_few_words() -> None:
    assert texts(PROSE.replace(",", "").replace(".", ""))[0] == "It was a bright cold day in "


def test_a_clause_too_short_to_be_worth_a_cut_is_not_one() -> None:
    assert texts("Well, this here is something that you might like to hear about.")[0] != "Well, "


def test_a_later_cut_falls_at_the_end_of_a_sentence_within_reach() -> None:
    assert texts(PROSE)[1] == "and the clocks were striking thirteen. "
    assert list(split(PROSE))[1].end == Break.SENTENCE


def test_a_sentence_ends_neither_at_an_initial_nor_before_a_small_letter() -> None:
    text = "J. R. R. Tolkien of the U.S. Army asked “Really?” and left."
    assert {part.end for part in split(text)} <= {Break.WORD, Break.CLAUSE, Break.SENTENCE}
    assert [part.end for part in split(text)].count(Break.SENTENCE) == 1


def test_a_line_break_is_known_as_one() -> None:
    assert next(iter(split("This is a heading of a page.\n" + PROSE))) == Part(
        "This is a heading of a page.\n", Break.LINE
    )


def test_a_chinese_character_counts_as_more_than_a_letter() -> None:
    assert len(texts("我今天早上去市场买了很多新鲜的水果和蔬菜因为晚上有朋友要来")[0]) <= FIRST / 4


def test_a_word_without_an_end_is_cut_all_the_same() -> None:
    assert max(map(len, texts("a" * 5000))) <= LONGEST * STRETCH


def test_halves_fall_at_the_best_break_near_the_middle() -> None:
    first, second = Part("One two three. Four five, six seven eight.", Break.SENTENCE).halves()
    assert (first, second) == (
        Part("One two three. ", Break.SENTENCE),
        Part("Four five, six seven eight.", Break.SENTENCE),
    )
