# ruff: noqa: RUF001  (phonemes look like Latin letters)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.speaker import Speaker
from adapters.kokoro.synthesizer import FRAME, MAX_TOKENS, Synthesizer
from adapters.kokoro.voices import Voices
from adapters.triton.speech import SpeechRequest
from tritone.errors import InvalidInput


class Tone:
    """Stands in for the network: a tone of three frames for each phoneme, at the loudness given."""

    def __init__(self, loudness: float = 0.3) -> None:
        self.loudness = loudness

    def tokens(self, phonemes: str) -> list[int]:
        return [ord(phoneme) for phoneme in phonemes]

    def speak(self, tokens: list[int], style: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        assert len(tokens) <= MAX_TOKENS
        return self.loudness * np.sin(np.arange(int(len(tokens) * 3 * FRAME / speed)) / 20, dtype=np.float32)


@pytest.fixture
def speaker(voices_folder: Path, phonemizer: Phonemizer) -> Speaker:
    return Speaker(Voices(voices_folder), phonemizer, Tone())


def request(text: str, voice: str = "", language: str = "auto", speed: float = 1.0) -> SpeechRequest:
    return SpeechRequest(text=text, voice=voice, language=language, speed=speed)


def test_the_description_says_what_can_be_asked_for(speaker: Speaker) -> None:
    description = speaker.description
    assert description.default_voice == "af_heart"
    assert description.languages == ("en", "es", "fr", "hi", "zh")
    assert len(description.voices) == 8


def test_a_piece_carries_the_voice_and_the_speed(speaker: Speaker) -> None:
    (piece,) = speaker.pieces(request("Hola.", voice="em_alex", speed=0.8))
    assert (piece.voice, piece.speed) == ("em_alex", 0.8)
    assert "".join(map(chr, piece.tokens)) == "ˈola."


def test_what_comes_to_more_phonemes_than_the_network_takes_is_spoken_in_pieces(speaker: Speaker) -> None:
    pieces = speaker.pieces(request(" ".join(["W X"] * 100)))
    assert len(pieces) > 2
    assert max(len(piece.tokens) for piece in pieces) <= MAX_TOKENS
    assert "".join(chr(token) for piece in pieces for token in piece.tokens).count("ɛks") == 100


@pytest.mark.parametrize("text", ["😀", "...", "-- !!", "\u200b", "“”"])
def test_a_text_without_a_word_is_refused(speaker: Speaker, text: str) -> None:
    with pytest.raises(InvalidInput, match="text: has nothing that can be spoken"):
        speaker.pieces(request(text))


def test_frames_count_what_the_network_made(speaker: Speaker) -> None:
    (piece,) = speaker.pieces(request("Hello."))
    assert speaker.speak(piece).frames == 3 * len(piece.tokens)


def test_a_network_that_speaks_passes_the_proof(speaker: Speaker) -> None:
    speaker.prove()


@pytest.mark.parametrize("loudness", [0.0, 1e-3, np.nan])
def test_a_network_that_is_silent_or_broken_fails_the_proof(
    voices_folder: Path, phonemizer: Phonemizer, loudness: float
) -> None:
    with pytest.raises(RuntimeError, match="Kokoro does not speak"):
        Speaker(Voices(voices_folder), phonemizer, Tone(loudness)).prove()


@pytest.mark.parametrize(("present", "missing"), [((), "model.onnx"), (("model.onnx",), "tokenizer.json")])
def test_a_missing_file_is_told_with_its_path(tmp_path: Path, present: tuple[str, ...], missing: str) -> None:
    for name in present:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=f"{missing} is missing; scripts/fetch_models brings it"):
        Synthesizer(tmp_path, threads=1)
