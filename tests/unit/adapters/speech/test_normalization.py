# ruff: noqa: RUF001  (marks of other scripts look like ours)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speech.normalization import normalize, write_out


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Dr. Smith and Mrs. Jones live at St. John's St. in Rye.", None),
        ("Bring fruit, e.g. apples, pears, etc.", "Bring fruit, for example apples, pears, et cetera."),
        ("No. 5 vs. No. 6", "number 5 versus number 6"),
        ("It costs $5.50, not $3 million.", "It costs 5 dollars and 50 cents, not 3 million dollars."),
        ("Just $1, or £20, or €1,000.", "Just 1 dollar, or 20 pounds, or 1,000 euros."),
        ("At 5 p.m. we left.", "At 5 pm we left."),
        ("We left at 5 p.m. He stayed.", "We left at 5 pm. He stayed."),
        ("In 1984 and 1500", "In 19 84 and 15 hundred"),
        ("10km at 60 mph, pages 5–10", "10 kilometers at 60 miles an hour, pages 5 to 10"),
        ("pi is 3.14, and 1,234,567 is more", "pi is 3.14, and 1,234,567 is more"),
        ("See https://www.example.com/a?b=1.", "See example.com/a?b=1."),
        ("Wait.... what?!", "Wait… what?!"),
        ("one -- two - three — four", "one — two — three — four"),
        ("well-known", "well-known"),
        ("It’s “fine”, she said", "It's “fine”, she said"),
        ("« Ça va ? »", "“Ça va?”"),
        ("Hi 😀👍🏽 there 👩‍👩‍👧 you❤️!", "Hi there you!"),
        ("**bold** and `code` and snake_case", "bold and code and snake case"),
        ("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ　１２", "Full width 12"),
        ("20°C", "20°C"),
    ],
)
def test_english_abbreviations_and_numbers_are_written_out(written: str, read: str | None) -> None:
    assert normalize(written, "en") == (read or "Doctor Smith and Missus Jones live at Saint John's Street in Rye.")


def test_headings_and_list_items_become_lines_with_a_full_stop() -> None:
    assert normalize("# Title\n\n- first\n- second\n\nText\n1. One", "en") == "Title.\nfirst.\nsecond.\nText.\n1. One"


def test_line_break_inside_a_sentence_becomes_a_space() -> None:
    assert normalize("This line\nis wrapped. \n This is not.", "en") == "This line is wrapped.\nThis is not."


def test_chinese_marks_become_the_marks_of_english() -> None:
    assert normalize("你好，世界。“真的吗？”她问：《红楼梦》（一）！", "zh") == (
        "你好, 世界. “真的吗?”她问: “红楼梦” (一)!"
    )


def test_danda_becomes_a_full_stop() -> None:
    assert normalize("नमस्ते। आप कैसे हैं?", "hi") == "नमस्ते. आप कैसे हैं?"


@pytest.mark.parametrize(
    ("language", "written", "read"),
    [
        ("es", "El Sr. García y la Dra. Ruiz", "El señor García y la doctora Ruiz"),
        ("fr", "M. Dupont et Mme Petit", "monsieur Dupont et madame Petit"),
        ("it", "Il Sig. Rossi", "Il signor Rossi"),
        ("pt", "O Dr. Silva", "O doutor Silva"),
    ],
)
def test_titles_are_written_out_in_their_own_language(language: str, written: str, read: str) -> None:
    assert normalize(written, language) == read


@given(
    st.lists(st.text(alphabet="abcdefgàéñ", min_size=3, max_size=9), min_size=1),
    st.sampled_from([" ", ", ", ".\n", " — "]),
)
def test_plain_words_are_unchanged(words: list[str], between: str) -> None:
    read = normalize(between.join(words), "en")
    assert "".join(c for c in read if c.isalpha()) == "".join(words)


@given(st.text())
def test_any_text_is_normalized_without_surplus_spaces(text: str) -> None:
    read = normalize(text, "en")
    assert read == read.strip()
    assert "  " not in read


@pytest.mark.parametrize("language", ["en", "es", "zh", "hi"])
@pytest.mark.parametrize("digits", ["١٢", "১২", "１２", "१२", "𝟏𝟐", "1٢"])
def test_digits_of_every_script_are_read_alike(language: str, digits: str) -> None:
    assert write_out(f"{digits}月, $ {digits} 第{digits}", language) == write_out("12月, $ 12 第12", language)
