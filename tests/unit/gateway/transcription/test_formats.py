"""Subtitles, read back by other people's parsers."""

from __future__ import annotations

import io
from datetime import timedelta
from itertools import pairwise

import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcription import formats
from tests.unit.gateway.transcription.conftest import segment

SEGMENTS = [
    segment(" Hello there.", 0.0, 1.5),
    segment(" A < B & C > D", 3661.2345, 3662.0),
    segment(" two\nlines\n\nand more", 3662.0, 3670.9996),
    segment("   ", 3671, 3672),
    segment(" -->", 3673, 3674),
]
TEXTS = ["Hello there.", "A < B & C > D", "two lines and more"]

spans = st.lists(
    st.tuples(st.floats(0, 100_000), st.floats(0, 100_000), st.text(st.characters(exclude_categories=["Cs", "Cc"])))
)


def test_srt_reads_back() -> None:
    cues = list(srt.parse(formats.srt(SEGMENTS)))
    assert [cue.content for cue in cues] == [*TEXTS, "->"]
    assert [cue.index for cue in cues] == [1, 2, 3, 4]
    assert cues[1].start == timedelta(hours=1, minutes=1, seconds=1, milliseconds=234)
    assert cues[2].end == timedelta(hours=1, minutes=1, seconds=11)


def test_vtt_reads_back() -> None:
    text = formats.vtt(SEGMENTS)
    assert "A &lt; B &amp; C &gt; D" in text
    cues = list(webvtt.from_buffer(io.StringIO(text)))
    assert len(cues) == 4
    assert (cues[0].start, cues[0].end, cues[0].text) == ("00:00:00.000", "00:00:01.500", "Hello there.")
    assert (cues[1].start, cues[1].end) == ("01:01:01.234", "01:01:02.000")
    assert cues[2].text == "two lines and more"


def test_nothing_heard_is_a_valid_file() -> None:
    assert formats.srt([]) == ""
    assert list(webvtt.from_buffer(io.StringIO(formats.vtt([])))) == []


@given(spans)
def test_cues_are_in_order_and_last(spans: list[tuple[float, float, str]]) -> None:
    written = formats.srt(segment(text, start, end) for start, end, text in spans)
    cues = list(srt.parse(written))
    assert len(cues) == sum(bool(text.split()) for *_, text in spans)
    assert all(cue.start < cue.end for cue in cues)
    assert all(one.end <= other.start for one, other in pairwise(cues))
