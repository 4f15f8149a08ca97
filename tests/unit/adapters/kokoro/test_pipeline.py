# ruff: noqa: RUF001  (phonemes look like Latin letters)

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.kokoro.network import KokoroNetwork
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.pipeline import KokoroPipeline
from adapters.kokoro.synthesis import FRAME, MAX_TOKENS
from adapters.kokoro.voices import VoiceStyles
from adapters.speech.self_test import self_test
from adapters.triton.speech_request import SpeechRequest
from tritone.errors import InvalidInput
from tritone.pronunciation import pronounce

OPTIONS = ("voice", "language", "speed")


class ToneNetwork(KokoroNetwork):
    """Stand in for the network: a tone of three frames for each phoneme, at a given loudness."""

    def __init__(self, loudness: float = 0.3) -> None:
        self.loudness = loudness

    def tokens(self, phonemes: str) -> list[int]:
        return [ord(phoneme) for phoneme in phonemes]

    def speak(
        self, tokens: Sequence[int], style: NDArray[np.float32], speed: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert len(tokens) <= MAX_TOKENS
        audio = self.loudness * np.sin(np.arange(int(len(tokens) * 3 * FRAME / speed)) / 20, dtype=np.float32)
        return audio, np.array([0, *[3 / speed] * len(tokens), 0], np.float32)


@pytest.fixture
def pipeline(voices_folder: Path, phonemizer: Phonemizer) -> KokoroPipeline:
    return KokoroPipeline(VoiceStyles(voices_folder), phonemizer, ToneNetwork(), options=OPTIONS)


def request(text: str, voice: str = "", language: str = "auto", speed: float = 1.0) -> SpeechRequest:
    return SpeechRequest(text=text, voice=voice, language=language, speed=speed)


def test_description_lists_voices_languages_and_options(pipeline: KokoroPipeline) -> None:
    description = pipeline.description
    assert description.default_voice == "af_heart"
    assert description.languages == ("en", "es", "fr", "hi", "zh")
    assert len(description.voices) == 8
    assert description.options == OPTIONS


def test_piece_has_the_voice_the_speed_and_the_tokens(pipeline: KokoroPipeline) -> None:
    (piece,) = pipeline.pieces(request("Hola.", voice="em_alex", speed=0.8))
    assert (piece.voice, piece.speed) == ("em_alex", 0.8)
    assert "".join(map(chr, piece.tokens)) == "ˈola."
    assert piece.text_tokens == len(piece.tokens)


def test_part_with_too_many_phonemes_for_the_network_becomes_several_pieces(pipeline: KokoroPipeline) -> None:
    pieces = pipeline.pieces(request(" ".join(["W X"] * 100)))
    assert len(pieces) > 2
    assert max(len(piece.tokens) for piece in pieces) <= MAX_TOKENS
    assert "".join(chr(token) for piece in pieces for token in piece.tokens).count("ɛks") == 100


def test_numbers_of_french_are_written_out_after_the_split(pipeline: KokoroPipeline, phonemizer: Phonemizer) -> None:
    (piece,) = pipeline.pieces(request("Il est 9h.", voice="ff_siwis"))
    assert "".join(map(chr, piece.tokens)) == phonemizer("Il est neuf heures.", "fr-fr")


@pytest.mark.parametrize("text", ["😀", "...", "-- !!", "\u200b", "“”"])
def test_text_without_words_is_rejected(pipeline: KokoroPipeline, text: str) -> None:
    with pytest.raises(InvalidInput, match="text: has no words to synthesize"):
        pipeline.pieces(request(text))


def test_piece_is_synthesized_in_whole_frames(pipeline: KokoroPipeline) -> None:
    (piece,) = pipeline.pieces(request("Hello."))
    assert len(pipeline.synthesize(piece)) == 3 * len(piece.tokens) * pipeline.frame_samples


def test_self_test_passes_with_a_working_network(pipeline: KokoroPipeline) -> None:
    self_test(pipeline)


@pytest.mark.parametrize("loudness", [0.0, 1e-3, np.nan])
def test_self_test_fails_with_a_silent_or_broken_network(
    voices_folder: Path, phonemizer: Phonemizer, loudness: float
) -> None:
    pipeline = KokoroPipeline(VoiceStyles(voices_folder), phonemizer, ToneNetwork(loudness), options=OPTIONS)
    with pytest.raises(RuntimeError, match="the self-test failed"):
        self_test(pipeline)


@pytest.mark.parametrize(("present", "missing"), [((), "model.onnx"), (("model.onnx",), "tokenizer.json")])
def test_missing_file_is_reported_with_its_path(tmp_path: Path, present: tuple[str, ...], missing: str) -> None:
    for name in present:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=f"{missing} is missing; run scripts/fetch_models"):
        KokoroNetwork(tmp_path, threads=1)


@pytest.mark.parametrize(
    ("ipa", "spoken"),
    [
        ("təˈmɑːtəʊ", "I say təˈmɑtQ, for 5."),
        ("tə.'meɪ.toʊ", "I say təˈmAtO, for 5."),
        ("t͡ʃuːz", "I say ʧuz, for 5."),
        ("dʒɔɪ", "I say ʤY, for 5."),
    ],
)
def test_a_word_has_the_pronunciation_that_its_text_gives(
    pipeline: KokoroPipeline, phonemizer: Phonemizer, ipa: str, spoken: str
) -> None:
    (piece,) = pipeline.pieces(request(f"I say {pronounce('tomato', ipa)}, for 5."))
    sound = spoken.split()[2].rstrip(",")
    before, after = phonemizer("I say", "en-us"), phonemizer(", for five.", "en-us")
    assert "".join(map(chr, piece.tokens)) == f"{before} {sound}{after}"


def test_a_pronunciation_with_an_unknown_sound_is_rejected(pipeline: KokoroPipeline, monkeypatch: Any) -> None:
    monkeypatch.setattr(ToneNetwork, "tokens", lambda _self, phonemes: [ord(each) for each in phonemes if each != "ʘ"])
    with pytest.raises(InvalidInput, match="'kʘ' has 'ʘ'"):
        pipeline.pieces(request(pronounce("kiss", "kʘ")))
    with pytest.raises(InvalidInput, match="more than 300"):
        pipeline.pieces(request(pronounce("a", "a") * 301))
