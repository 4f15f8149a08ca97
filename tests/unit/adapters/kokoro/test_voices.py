from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.kokoro.voices import VoiceSelection, VoiceStyles, language_of_script
from tritone.contract import Voice
from tritone.errors import InvalidInput


@pytest.fixture
def voices(voices_folder: Path) -> VoiceStyles:
    return VoiceStyles(voices_folder)


def test_voices_of_supported_languages_are_listed(voices: VoiceStyles) -> None:
    assert [voice.id for voice in voices.list()] == [
        "af_heart", "am_puck", "bf_emma", "ef_dora", "em_alex", "ff_siwis", "hf_alpha", "zf_xiaobei",
    ]  # fmt: skip
    assert voices.list()[3] == Voice(id="ef_dora", name="Dora", language="es")


def test_style_depends_on_the_number_of_phonemes(voices: VoiceStyles) -> None:
    assert voices.style("am_puck", 20).shape == (1, 256)
    assert voices.style("am_puck", 20)[0, 0] == pytest.approx(1.020)
    assert voices.style("am_puck", 600)[0, 0] == pytest.approx(1.509)


@pytest.mark.parametrize(
    ("text", "voice", "language", "selected", "accent"),
    [
        ("Hello.", "", "auto", "af_heart", "en-us"),
        ("Hello.", "bf_emma", "auto", "bf_emma", "en-gb"),
        ("Hola.", "ef_dora", "auto", "ef_dora", "es"),
        ("Hola.", "", "es", "ef_dora", "es"),
        ("Bonjour.", "", "fr", "ff_siwis", "fr-fr"),
        ("Olá.", "", "pt", "af_heart", "pt-br"),
        ("Hola.", "af_heart", "es", "af_heart", "es"),
        ("你好。", "", "auto", "zf_xiaobei", "zh"),
        ("你好。", "af_heart", "auto", "af_heart", "zh"),
        ("请用 Python 和 TensorFlow", "", "auto", "zf_xiaobei", "zh"),
        ("Hello.", "zf_xiaobei", "auto", "zf_xiaobei", "zh"),
        ("नमस्ते", "", "auto", "hf_alpha", "hi"),
        ("1234!", "", "auto", "af_heart", "en-us"),
        ("1234!", "ff_siwis", "auto", "ff_siwis", "fr-fr"),
    ],
)
def test_voice_and_accent_follow_from_text_voice_and_language(
    voices: VoiceStyles, text: str, voice: str, language: str, selected: str, accent: str
) -> None:
    selection = voices.select(text, voice, language)
    assert (selection.voice, selection.accent) == (selected, accent)


def test_mix_is_the_weighted_mean_of_the_styles(voices: VoiceStyles) -> None:
    mean = (2 * voices.style("am_puck", 20) + voices.style("ef_dora", 20)) / 3
    np.testing.assert_allclose(voices.style("am_puck(2)+ef_dora(1)", 20), mean, rtol=1e-6)
    equal = (voices.style("am_puck", 600) + voices.style("ef_dora", 600)) / 2
    np.testing.assert_allclose(voices.style("am_puck+ef_dora", 600), equal, rtol=1e-6)


def test_first_voice_of_a_mix_sets_language_and_accent(voices: VoiceStyles) -> None:
    selection = voices.select("1234!", "bf_emma+ef_dora", "auto")
    assert (selection.voice, selection.accent) == ("bf_emma+ef_dora", "en-gb")


@pytest.mark.parametrize("text", ["안녕하세요", "ありがとう", "今日は良い天気ですね", "Привет", "مرحبا", "สวัสดี"])
@pytest.mark.parametrize("language", ["auto", "en"])
def test_unsupported_script_is_rejected_with_the_supported_languages(
    voices: VoiceStyles, text: str, language: str
) -> None:
    with pytest.raises(InvalidInput, match="this model supports English, Spanish, French") as caught:
        voices.select(text, "", language)
    assert caught.value.field == "text"


def test_one_foreign_word_does_not_set_the_language_of_a_text() -> None:
    assert language_of_script("The word 안녕 means hello.") is None
    assert language_of_script("The word 你好 means hello in their language.") is None


def test_british_voice_has_a_british_accent_only_in_english() -> None:
    assert VoiceSelection("bf_emma", "es").accent == "es"


def test_missing_default_voice_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"af_heart\.bin is missing; run scripts/fetch_models"):
        VoiceStyles(tmp_path)


@pytest.mark.parametrize("content", [b"", b"1234567", np.full(256, np.nan, "<f4").tobytes()])
def test_broken_voice_is_reported_with_its_path(voices_folder: Path, content: bytes) -> None:
    (voices_folder / "af_heart.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"af_heart\.bin is not a voice"):
        VoiceStyles(voices_folder)
