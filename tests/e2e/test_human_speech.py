"""People, recorded: Whisper hears them through the gateway about as well as its size allows."""

from __future__ import annotations

import gzip
import io
import os
import re
import unicodedata
import wave
from pathlib import Path

import av
import openai
import pytest

from tests.e2e.server import ROOT
from tests.e2e.words import word_error_rate

RECORDINGS = Path(os.environ.get("MODEL_DIR") or ROOT / "models") / "test-recordings"


def hear(client: openai.OpenAI, recording: Path, language: str) -> str:
    with recording.open("rb") as file:
        return client.audio.transcriptions.create(model="whisper-base", file=file, language=language).text


def hear_telephone(client: openai.OpenAI, recording: Path, language: str) -> str:
    """A bare GSM stream tells nobody what it is but by its file's name: it goes up as the WAV that it decodes to."""
    file = io.BytesIO()
    with av.open(recording) as container, wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        for frame in container.decode(audio=0):
            writer.writeframes(frame.to_ndarray().tobytes())
    return client.audio.transcriptions.create(
        model="whisper-base", file=(f"{recording.stem}.wav", file.getvalue()), language=language
    ).text


def without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def test_read_english_is_heard_within_a_bound(client: openai.OpenAI) -> None:
    lines = (RECORDINGS / "librivox" / "transcription").read_text().splitlines()
    matches = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
    said = {match[2]: match[1] for match in matches if match}
    heard = [hear(client, RECORDINGS / "librivox" / f"{name}.wav", "en") for name in said]
    assert word_error_rate(list(said.values()), heard) <= 0.12, heard


def test_a_studio_recording_is_heard_word_for_word(client: openai.OpenAI) -> None:
    heard = hear(client, RECORDINGS / "f5-tts" / "basic_ref_en.wav", "en")
    assert word_error_rate(["Some call me nature, others call me mother nature."], [heard]) == 0.0, heard


@pytest.mark.parametrize(("language", "bound"), [("es", 0.15), ("fr", 0.15)])
def test_telephone_prompts_are_heard_within_a_bound(client: openai.OpenAI, language: str, bound: float) -> None:
    folder = RECORDINGS / "asterisk" / language
    with gzip.open(folder / f"core-sounds-{language}.txt.gz", "rt", encoding="utf-8") as transcripts:
        lines = [line.split(":", 1) for line in transcripts if ":" in line and not line.startswith(";")]
    said = {name.strip(): without_accents(text) for name, text in lines}
    recordings = sorted(folder.glob("*.gsm"))
    heard = [without_accents(hear_telephone(client, recording, language)) for recording in recordings]
    assert word_error_rate([said[recording.stem] for recording in recordings], heard) <= bound, heard
