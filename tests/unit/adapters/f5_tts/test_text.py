"""Parts of texts, their tokens and frames, and characters that the model does not know."""

from __future__ import annotations

import pytest

from adapters.f5_tts.checkpoint import Networks
from adapters.f5_tts.package import convert_char_to_pinyin
from adapters.f5_tts.text import TextPart, TextReader, cut, words_of
from tritone.errors import InvalidInput

WORDS = "Some call me nature, others call me mother nature."
FRAMES = 500


@pytest.fixture
def reader(networks: Networks) -> TextReader:
    return TextReader(networks.vocabulary, normalize=True)


def parts(
    reader: TextReader, text: str, words: str = WORDS, frames: int = FRAMES, speed: float = 1.0
) -> list[TextPart]:
    return reader.parts(text, words, frames, language="auto", speed=speed)


def test_tokens_are_those_of_the_package(reader: TextReader, networks: Networks) -> None:
    (part,) = parts(reader, "Good morning.")
    (expected,) = convert_char_to_pinyin([f"{WORDS}  Good morning."])
    assert [networks.vocabulary[token] for token in expected] == [*part.tokens]


def test_chinese_has_the_tokens_of_its_pronunciation(reader: TextReader, networks: Networks) -> None:
    (part,) = parts(reader, "你好，世界。")
    names = {index: token for token, index in networks.vocabulary.items()}
    assert {"shi4", "jie4"} <= {names[index] for index in part.tokens}


def test_frames_follow_the_pace_of_the_reference(reader: TextReader) -> None:
    text = "I have been a silent spectator."
    (part,) = parts(reader, text)
    assert part.frames == FRAMES + int(FRAMES / len(f"{WORDS}  ") * len(text))
    (fast,) = parts(reader, text, speed=2.0)
    assert fast.frames - FRAMES == pytest.approx((part.frames - FRAMES) / 2, abs=1)


def test_short_text_gets_more_time(reader: TextReader) -> None:
    (part,) = parts(reader, "Hello.")
    assert part.frames == FRAMES + int(FRAMES / len(f"{WORDS}  ") * 6 / 0.3)


def test_numbers_are_written_out(networks: Networks) -> None:
    spoken = parts(TextReader(networks.vocabulary, normalize=True), "It costs $5.")
    (expected,) = convert_char_to_pinyin([f"{WORDS}  It costs five dollars."])
    assert [*spoken[0].tokens] == [networks.vocabulary[token] for token in expected]
    written = parts(TextReader(networks.vocabulary, normalize=False), "It costs $5.")
    assert len(written[0].tokens) < len(spoken[0].tokens)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Hello", "Hello.  "),
        ("Hello.", "Hello.  "),
        (" Hello. ", "Hello.  "),
        ("你好。", "你好。"),
        ("Why?", "Why?.  "),
    ],
)
def test_words_end_as_in_the_package(words: str, expected: str) -> None:
    assert words_of(words) == expected


@pytest.mark.parametrize(
    ("text", "letters"),
    [("안녕하세요", "안녕하세요"), ("Привет", "Привет"), ("こんにちは", "こんにちは"), ("नमस्ते", "नमसत")],
)
def test_letters_of_other_scripts_are_refused(reader: TextReader, text: str, letters: str) -> None:
    with pytest.raises(InvalidInput, match=f"text: has letters that this model does not speak .{letters}"):
        parts(reader, text)
    with pytest.raises(InvalidInput, match="ref_text: has letters"):
        parts(reader, "Good morning.", words=text)


def test_signs_without_a_sound_are_no_reason_to_refuse(reader: TextReader) -> None:
    assert parts(reader, "Fine! \N{GRINNING FACE} Über π, naïve 東京.")


@pytest.mark.parametrize("text", ["...", "!?", "\N{GRINNING FACE}"])
def test_text_without_words_is_refused(reader: TextReader, text: str) -> None:
    with pytest.raises(InvalidInput, match="text: has no words"):
        parts(reader, text)


@pytest.mark.parametrize("words", ["A", "So many words, in so little time. " * 20])
def test_words_that_cannot_be_those_of_the_recording_are_refused(reader: TextReader, words: str) -> None:
    with pytest.raises(InvalidInput, match=r"ref_text: has .* bytes for 5\.3 s of speech; it must be what is said"):
        parts(reader, "Good morning.", words=words)


def test_long_text_is_cut_within_the_length_that_the_network_was_trained_on(reader: TextReader) -> None:
    sentence = "Always remember, I am mighty and enduring. "
    cut_parts = parts(reader, sentence * 40)
    assert len(cut_parts) > 5
    assert all(part.frames <= 23 * 24_000 / 256 for part in cut_parts)
    assert cut_parts[0].frames < cut_parts[1].frames


def test_cut_parts_are_the_text_again() -> None:
    text = "One, two; three. " + "word " * 100 + "四五六。" * 50 + "x" * 300
    found = [*cut(text, 120)]
    assert all(len(part.encode()) <= 120 for part in found)
    assert "".join("".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["- " * 2000 + "Hello.", "!" * 4000 + "Hello.", "Hello. " + "- " * 500 + "World."])
def test_many_signs_before_a_word_make_no_part_too_long(text: str) -> None:
    found = [*cut(text, 200)]
    assert max(len(part.encode()) for part in found) <= 200 + 16
    assert [word for part in found for word in part.replace("!", " ").split() if word != "-"] == [
        word for word in text.replace("!", " ").split() if word != "-"
    ]


def test_signs_before_the_first_word_join_it() -> None:
    assert [*cut("... !!! Hello there. And so on.", 14)] == ["... !!! Hello there.", "And so on."]
    assert [*cut("??? !!!", 14)] == []
