"""Recordings of people: the error rates of Whisper through the gateway."""

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


def transcribe(client: openai.OpenAI, recording: Path, language: str) -> str:
    with recording.open("rb") as file:
        return client.audio.transcriptions.create(model="whisper-base", file=file, language=language).text


def transcribe_telephone(client: openai.OpenAI, recording: Path, language: str) -> str:
    """Transcribe a bare GSM file, sent as WAV: its format can be recognized by its name only."""
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


def test_english_read_aloud_has_few_word_errors(client: openai.OpenAI) -> None:
    lines = (RECORDINGS / "librivox" / "transcription").read_text().splitlines()
    matches = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
    texts = {match[2]: match[1] for match in matches if match}
    transcripts = [transcribe(client, RECORDINGS / "librivox" / f"{name}.wav", "en") for name in texts]
    assert word_error_rate(list(texts.values()), transcripts) <= 0.12, transcripts


def test_studio_recording_has_no_word_errors(client: openai.OpenAI) -> None:
    transcript = transcribe(client, RECORDINGS / "f5-tts" / "basic_ref_en.wav", "en")
    assert word_error_rate(["Some call me nature, others call me mother nature."], [transcript]) == 0.0, transcript


@pytest.mark.parametrize(("language", "bound"), [("es", 0.15), ("fr", 0.15)])
def test_telephone_prompts_have_few_word_errors(client: openai.OpenAI, language: str, bound: float) -> None:
    folder = RECORDINGS / "asterisk" / language
    with gzip.open(folder / f"core-sounds-{language}.txt.gz", "rt", encoding="utf-8") as file:
        lines = [line.split(":", 1) for line in file if ":" in line and not line.startswith(";")]
    texts = {name.strip(): without_accents(text) for name, text in lines}
    recordings = sorted(folder.glob("*.gsm"))
    transcripts = [without_accents(transcribe_telephone(client, recording, language)) for recording in recordings]
    assert word_error_rate([texts[recording.stem] for recording in recordings], transcripts) <= bound, transcripts
