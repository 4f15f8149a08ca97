"""Tags in a text to speak: pauses and voices, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.speech_tags import Part, Pause, TagReader, VoiceTag, escape, parse
from tritone.errors import InvalidInput

TEXTS = st.lists(
    st.sampled_from(
        [
            "[pause 500ms]",
            "[pause:1.5s]",
            "[PAUSE 2 s]",
            "[voice:af_bella]",
            "[voice: Anna B]",
            "\\",
            "[",
            "]",
            "[pause",
            "[voice:",
            "\n",
            " 1s]",
            "a",
            "ä ",
            "[laughs]",
        ]
    )
    | st.text(max_size=5),
    max_size=12,
).map("".join)


def said(parts: list[Part]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. [pause 500ms] Two.", ["One. ", Pause(0.5), " Two."]),
        ("[pause:0.25s]Two", [Pause(0.25), "Two"]),
        ("[Pause: 2 s][pause 0s]", [Pause(2.0), Pause(0.0)]),
        ("Hi [voice:af_bella] there", ["Hi ", VoiceTag("af_bella", 4), " there"]),
        ("[voice: af_bella(2)+af_sky(1) ]x", [VoiceTag("af_bella(2)+af_sky(1)", 1), "x"]),
        (r"Say \[pause 1s] aloud", ["Say ", "[pause 1s]", " aloud"]),
        (r"\\[pause 1s]", ["\\", "[pause 1s]"]),
    ],
)
def test_a_text_becomes_its_passages_pauses_and_voices(text: str, wanted: list[object]) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[pause]", "[pause 3]", "[pause=1.5s]", "[pauses 1s]", "[pause -1s]", "[laughs] Yes.", "[1] See b[pause].",
        "[voice mail]", "[voice:]", "[voice: ]", "[voice:\n]", "[voice:a[b]", r"C:\[temp]", "\\", "[", r"\[laughs]",
    ],
)  # fmt: skip
def test_other_brackets_and_backslashes_are_text(text: str) -> None:
    assert said(parse(text)) == text


@pytest.mark.parametrize("text", ["[voice:af_bella] Hi", r"\[voice:af_bella] Hi", "[voice", "\\"])
def test_kinds_that_are_not_wanted_are_text_with_their_backslashes(text: str) -> None:
    assert said(parse(text, ["pause"])) == text
    assert parse(text, []) == [text]


@given(TEXTS)
def test_an_escaped_text_is_said_as_it_is(text: str) -> None:
    parts = parse(escape(text))
    assert all(isinstance(part, str) for part in parts)
    assert said(parts) == text


@given(TEXTS, st.data())
def test_pieces_of_a_text_make_no_difference(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    reader = TagReader()
    parts = [
        part for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) for part in reader.add(text[start:end])
    ] + [reader.finish()]
    assert said(parts) == said(parse(text))
    assert [part for part in parts if not isinstance(part, str)] == [
        part for part in parse(text) if not isinstance(part, str)
    ]


@pytest.mark.parametrize("text", ["A word", "an end.", "x]", "[laughs"])
def test_text_that_can_begin_no_tag_is_not_held(text: str) -> None:
    assert list(TagReader().add(text)) == [text]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Hi. [pause 11s]", "the pause at character 5 is too long; at most 10 s"),
        ("[pause 10s]" * 61, "its pauses are 610 s together; at most 600 s"),
    ],
)
def test_pauses_that_are_too_long_are_rejected(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse(text)
    assert (error.value.field, error.value.problem) == ("text", problem)
