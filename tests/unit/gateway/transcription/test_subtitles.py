"""Subtitles: the rules of readable ones, and a round trip through other parsers."""

from __future__ import annotations

import io
import re
import unicodedata
from datetime import timedelta
from itertools import pairwise

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from gateway.openai.transcription import subtitles
from gateway.openai.transcription.subtitle_units import columns
from gateway.openai.transcription.subtitles import Cue, cues
from tritone.transcript import Segment, Word


def segment(text: str, start: float, end: float, words: tuple[Word, ...] = ()) -> Segment:
    return Segment(start, end, text, (1,), 0.0, -0.2, 1.4, 0.01, words)


def paced(text: str, start: float = 0.0, rate: float = 0.3) -> Segment:
    """Return `text` at a steady pace, with a word every `rate` seconds."""
    words = [f" {word}" for word in text.split()]
    times = [Word(start + i * rate, start + (i + 1) * rate, word, 0.9) for i, word in enumerate(words)]
    return segment("".join(words), start, start + len(words) * rate, tuple(times))


def lines(*segments: Segment) -> list[tuple[str, ...]]:
    return [cue.lines for cue in cues(segments)]


def squeezed(text: str) -> str:
    """Return `text` without the characters that subtitles may change: spaces, and invisible controls."""
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cc")


def test_a_short_sentence_is_one_line_at_its_own_times() -> None:
    assert cues([segment(" Hello there.", 3661.2345, 3663.0)]) == [Cue(3_661_234, 3_663_000, ("Hello there.",))]


def test_a_longer_sentence_is_two_lines_of_about_the_same_width() -> None:
    assert lines(paced("She walked along the quiet river until it started to rain")) == [
        ("She walked along the quiet", "river until it started to rain")
    ]


def test_lines_are_split_after_a_mark_rather_than_in_a_phrase() -> None:
    assert lines(paced("When the long rain was over, they went home at last")) == [
        ("When the long rain was over,", "they went home at last")
    ]


def test_a_long_segment_becomes_cues_that_end_with_its_sentences() -> None:
    text = (
        "The library closes at nine, but the reading room stays open. Nobody minds that the last readers leave late. "
        "In the morning it all begins again."
    )
    assert lines(paced(text)) == [
        ("The library closes at nine,", "but the reading room stays open."),
        ("Nobody minds that the", "last readers leave late."),
        ("In the morning it all begins again.",),
    ]


def test_an_abbreviated_title_ends_no_sentence() -> None:
    text = "And then in the end it was of course old Mr. Dashwood who had not the money that they wanted from him."
    assert all(not cue[-1].endswith("Mr.") for cue in lines(paced(text)))


def test_cues_have_the_times_of_their_words() -> None:
    words = (Word(1.0, 1.4, " One.", 0.9), Word(5.0, 5.8, " Two.", 0.9))
    assert cues([segment(" One. Two.", 1.0, 5.8, words)]) == [
        Cue(1_000, 1_700, ("One.",)),
        Cue(5_000, 5_800, ("Two.",)),
    ]


def test_without_word_times_the_text_is_spread_over_its_segment() -> None:
    text = " The first half of it is this sentence here. The second half of it is this one there."
    first, second = cues([segment(text, 0.0, 10.0)])
    assert first.end == second.start
    assert abs(first.end - 5_000) < 500


def test_words_that_differ_from_the_text_are_ignored() -> None:
    [cue] = cues([segment(" All of it.", 1.0, 2.0, (Word(1.5, 1.6, " All", 0.9),))])
    assert cue == Cue(1_000, 2_000, ("All of it.",))


def test_a_short_cue_is_extended_into_the_gap_after_it() -> None:
    assert [(cue.start, cue.end) for cue in cues([segment(" Yes.", 1.0, 1.1), segment(" No.", 3.0, 4.0)])] == [
        (1_000, 1_700),
        (3_000, 4_000),
    ]


def test_short_cues_without_a_gap_are_joined() -> None:
    assert lines(segment(" Yes.", 1.0, 1.2), segment(" No.", 1.2, 1.4), segment(" Why?", 1.4, 2.4)) == [
        ("Yes. No. Why?",)
    ]


def test_a_cue_ends_at_the_longest_time() -> None:
    [cue] = cues([segment(" Amen.", 10.0, 40.0)])
    assert (cue.start, cue.end) == (10_000, 17_000)


def test_ideographs_count_twice_and_lines_end_at_their_marks() -> None:
    text = "今天天气很好，我们去公园散步，看见很多人在湖边放风筝。"
    [(above, below)] = lines(segment(text, 0.0, 6.0))
    assert (above, below) == ("今天天气很好，我们去公园散步，", "看见很多人在湖边放风筝。")
    assert max(columns(above), columns(below)) <= 42


def test_no_line_begins_with_a_mark_or_ends_with_a_bracket() -> None:
    text = "彼は「はい」と言って、ちょっと笑った。" * 8
    shown = [line for cue in lines(segment(text, 0.0, 40.0)) for line in cue]
    assert len(shown) > 4
    assert not [line for line in shown if line[0] in "」、。っょ" or line[-1] == "「"]


def test_korean_ends_its_lines_at_spaces() -> None:
    text = " 오늘은 날씨가 아주 좋아서 우리는 공원에 가서 산책을 했습니다"
    [shown] = lines(segment(text, 0.0, 6.0))
    assert " ".join(shown) == text.strip()
    assert len(shown) == 2


def test_a_segment_without_a_space_before_it_gets_one() -> None:
    assert lines(segment("Yes", 0.0, 0.2), segment("indeed", 0.2, 0.9)) == [("Yes indeed",)]
    assert lines(segment("今天", 0.0, 0.2), segment("很好", 0.2, 0.9)) == [("今天很好",)]


@pytest.mark.parametrize(
    "cluster", ["👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "e\u0301", "ก\u0e33\u0e49", "\u1112\u1161\u11ab"]
)
def test_characters_displayed_as_one_stay_together(cluster: str) -> None:
    for cue in cues([segment(cluster * 60, 0.0, 60.0)]):
        for line in cue.lines:
            assert line == cluster * line.count(cluster)


def test_right_to_left_text_keeps_its_order_and_marks() -> None:
    text = "\u200fמה שלומך היום, ידידי הטוב והיקר מכולם? שלום."
    assert " ".join(" ".join(cue) for cue in lines(paced(text))) == text


def test_a_word_wider_than_a_line_is_split() -> None:
    assert lines(segment(" " + "a" * 100, 0.0, 3.0)) == [("a" * 42,), ("a" * 42, "a" * 16)]


def test_line_ends_and_controls_become_spaces() -> None:
    assert lines(segment(" two\r\n\r\nlines\x00and\u2028more", 0.0, 2.0)) == [("two lines and more",)]


def test_srt_is_numbered_and_holds_no_second_arrow() -> None:
    written = subtitles.srt([segment(" Hello.", 0.0, 1.0), segment(" a --> b", 3661.5, 3662.5)])
    assert written.startswith("1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n2\n01:01:01,500 --> 01:01:02,500\n")
    assert [cue.content for cue in srt.parse(written)] == ["Hello.", "a --\u2060> b"]


def test_vtt_escapes_its_markup() -> None:
    written = subtitles.vtt([segment(" A < B & C --> D", 0.0, 1.0)])
    assert written == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nA &lt; B &amp; C --&gt; D\n\n"


def test_a_file_without_cues_is_valid() -> None:
    assert subtitles.srt([segment("  ", 0.0, 1.0)]) == ""
    assert webvtt.from_buffer(io.StringIO(subtitles.vtt([]))).captions == []


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(
    st.sampled_from(
        ["word", "Mr.", "end.", "comma,", "今天", "。", "「", "👍🏽", "é", "-->", "<i>", "NOTE", "1", "שלום"]
    )
).map(" ".join)
seconds = st.floats(0, 20) | st.floats(0, 100_000)


@st.composite
def drawn_segment(draw: st.DrawFn) -> Segment:
    """Draw a segment with or without words, at times that may make no sense."""
    words = tuple(Word(draw(seconds), draw(seconds), text, 0.5) for text in draw(st.lists(texts, max_size=5)))
    text = "".join(word.text for word in words) if words else draw(texts)
    return segment(text, draw(seconds), draw(seconds), words)


@given(st.lists(drawn_segment(), max_size=8))
def test_every_cue_is_within_the_limits_and_no_text_is_lost(segments: list[Segment]) -> None:
    written = cues(segments)
    assert all(cue.start >= 0 and 700 <= cue.end - cue.start <= 7_000 for cue in written)
    assert all(one.end <= other.start for one, other in pairwise(written))
    assert all(1 <= len(cue.lines) <= 2 for cue in written)
    assert all(line.strip() == line != "" and columns(line) <= 42 for cue in written for line in cue.lines)
    shown = "".join(line for cue in written for line in cue.lines)
    assert squeezed(shown) == squeezed("".join(segment.text for segment in segments))


@given(st.lists(drawn_segment(), max_size=8))
def test_other_parsers_read_the_subtitles_back(segments: list[Segment]) -> None:
    expected = cues(segments)
    times = [(timedelta(milliseconds=cue.start), timedelta(milliseconds=cue.end)) for cue in expected]
    texts = ["\n".join(cue.lines) for cue in expected]

    read = list(srt.parse(subtitles.srt(segments)))
    assert [(cue.start, cue.end) for cue in read] == times
    assert [cue.content.replace("\u2060", "") for cue in read] == [text.replace("\u2060", "") for text in texts]

    captions = webvtt.from_buffer(io.StringIO(subtitles.vtt(segments))).captions
    assert [(clock(caption.start), clock(caption.end)) for caption in captions] == times
    assert [unescaped(caption.raw_text) for caption in captions] == texts


def clock(written: str) -> timedelta:
    match = re.fullmatch(r"(\d\d+):(\d\d):(\d\d)\.(\d\d\d)", written)
    assert match
    hours, minutes, seconds, milliseconds = map(int, match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
