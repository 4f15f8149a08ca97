# ruff: noqa: RUF001  (phonemes look like Latin letters)
"""The times of words that Kokoro's durations give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.kokoro.graph import DURATIONS, with_durations
from adapters.kokoro.network import KokoroNetwork
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.pipeline import KokoroPipeline, PhonemePiece
from adapters.kokoro.synthesis import FRAME
from adapters.kokoro.voices import VoiceStyles
from adapters.kokoro.word_spans import word_spans
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.kokoro.test_pipeline import ToneNetwork
from tritone.contract import SPEECH_RATE, SpeechOptions
from tritone.pronunciation import pronounce

TIMED = SpeechOptions(word_timestamps=True)


@pytest.fixture
def pipeline(voices_folder: Path, phonemizer: Phonemizer) -> KokoroPipeline:
    return KokoroPipeline(VoiceStyles(voices_folder), phonemizer, ToneNetwork(), options=("word_timestamps",))


def spoken_as(pieces: list[PhonemePiece]) -> list[tuple[str, str]]:
    """Return each written word with its phonemes; those of the stand-in's tokens are characters."""
    return [
        (word.text.strip(), "".join(map(chr, piece.tokens[word.first : word.last])))
        for piece in pieces
        for word in piece.words
    ]


def request(text: str, voice: str = "", speed: float = 1.0) -> SpeechRequest:
    return SpeechRequest(text=text, voice=voice, language="auto", speed=speed, options=TIMED)


@pytest.mark.parametrize(
    ("words", "phonemes", "spans"),
    [
        (["fɔɹ", "ðə", "dˈA"], "fɚðə dˈA.", ["fɚ", "ðə", "dˈA"]),
        (["twˈɛnti wˈʌn", "dˈAz"], "twˈɛnti wˈʌn dˈAz", ["twˈɛnti wˈʌn", "dˈAz"]),
        (["həlˈO", "xyz", "wˈɜɹld"], "həlˈO, wˈɜɹld!", ["həlˈO", "", "wˈɜɹld"]),
        ([], "həlˈO", []),
    ],
)
def test_each_word_has_its_phonemes_in_those_of_the_text(words: list[str], phonemes: str, spans: list[str]) -> None:
    assert [phonemes[first:last] for first, last in word_spans(words, phonemes)] == spans


def test_words_are_the_written_ones_with_the_phonemes_of_the_spoken_ones(pipeline: KokoroPipeline) -> None:
    assert spoken_as(pipeline.pieces(request("It costs $5, really!"))) == [
        ("It", "ɪt"),
        ("costs", "kˈɔsts"),
        ("$5,", "fˈIv dˈɑləɹz"),
        ("really!", "ɹˈiəli"),
    ]


def test_words_of_french_are_those_before_its_numbers_are_written_out(pipeline: KokoroPipeline) -> None:
    assert spoken_as(pipeline.pieces(request("Il est 9h.", voice="ff_siwis"))) == [
        ("Il", "il"),
        ("est", "ɛ"),
        ("9h.", "nˈœv ˈœʁ"),
    ]


def test_each_character_of_chinese_is_a_word(pipeline: KokoroPipeline) -> None:
    assert spoken_as(pipeline.pieces(request("银行行长，Python"))) == [
        ("银", "i↗n"),
        ("行", "xa↗ŋ"),
        ("行", "xa↗ŋ"),
        ("长，", "ꭧa↓ŋ"),
        ("Python", "pˈIθən"),
    ]


def test_request_without_times_has_no_words(pipeline: KokoroPipeline) -> None:
    (piece,) = pipeline.pieces(SpeechRequest(text="Hello.", voice="", language="auto", speed=1.0))
    assert not piece.words
    assert not pipeline.speak(piece).words


@pytest.mark.parametrize("speed", [1.0, 0.75])
def test_word_begins_and_ends_with_its_phonemes(pipeline: KokoroPipeline, speed: float) -> None:
    (piece,) = pipeline.pieces(request("Hello there.", speed=speed))
    frame = 3 * FRAME / SPEECH_RATE / speed  # of the stand-in, for each phoneme
    times = [(word.start, word.end) for word in pipeline.speak(piece).words]
    assert times == pytest.approx(np.array([[0, 5 * frame], [6 * frame, 10 * frame]]))


def test_graph_without_the_durations_is_left_alone() -> None:
    assert with_durations(b"a graph of another export") is None


def test_appended_output_is_one_message_in_the_graph() -> None:
    model = b"\x08\x08" + DURATIONS.encode()
    timed = with_durations(model)
    assert timed is not None
    assert timed[: len(model)] == model
    name = DURATIONS.encode()
    assert timed[len(model) :] == bytes([0x3A, len(name) + 4, 0x62, len(name) + 2, 0x0A, len(name)]) + name


@pytest.mark.weights
def test_durations_of_the_real_network_are_as_long_as_its_audio(weights: Path) -> None:
    network = KokoroNetwork(weights / "kokoro-82m", threads=2)
    assert network.has_durations
    tokens = network.tokens("həlˈO wˈɜɹld.")
    style: NDArray[np.float32] = VoiceStyles(weights / "kokoro-82m" / "voices").style("af_heart", len(tokens))
    samples, durations = network.speak(tokens, style, 1.0)
    assert len(durations) == len(tokens) + 2
    assert durations.sum() * FRAME == len(samples)


def test_a_word_with_a_pronunciation_has_its_sounds(pipeline: KokoroPipeline) -> None:
    pieces = pipeline.pieces(request(f"A {pronounce('gif', 'dʒɪf')} is here."))
    assert spoken_as(pieces) == [("A", "ə"), ("gif", "ʤɪf"), ("is", "ɪz"), ("here.", "hˈɪɹ")]
