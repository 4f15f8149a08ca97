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
import jiwer
import numpy as np
import openai
import pytest

from tests.e2e.server import ROOT
from tests.e2e.words import word_error_rate
from tests.unit.gateway.recordings import wav
from tests.unit.tritone.non_speech import non_speech
from tritone.windowing import Samples

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


def at(sound: Samples, decibels: float) -> Samples:
    """Return `sound` with an RMS of `decibels`."""
    return (np.clip(sound / np.sqrt(np.mean(sound**2)) * 10 ** (decibels / 20), -1, 1)).astype(np.float32)


def transcribe_samples(client: openai.OpenAI, samples: Samples) -> str:
    """Transcribe samples at 16 kHz, as a WAV file of 16 bits."""
    file = wav((samples * 32767).round().astype("<i2").tobytes(), bits=16, kind=1)
    return client.audio.transcriptions.create(model="whisper-base", file=("sound.wav", file), language="en").text


def without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def test_english_read_aloud_has_few_word_errors(client: openai.OpenAI) -> None:
    lines = (RECORDINGS / "librivox" / "transcription").read_text().splitlines()
    matches = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
    texts = {match[2]: match[1] for match in matches if match}
    transcripts = [transcribe(client, RECORDINGS / "librivox" / f"{name}.wav", "en") for name in texts]
    assert word_error_rate(list(texts.values()), transcripts) <= 0.12, transcripts


@pytest.mark.parametrize("decibels", [-50, -60])
def test_quiet_english_has_as_few_word_errors(client: openai.OpenAI, decibels: int) -> None:
    lines = (RECORDINGS / "librivox" / "transcription").read_text().splitlines()
    matches = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
    texts = {match[2]: match[1] for match in matches if match}
    transcripts = []
    for name in texts:
        with wave.open(str(RECORDINGS / "librivox" / f"{name}.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
        transcripts.append(transcribe_samples(client, at(samples, decibels)))
    assert word_error_rate(list(texts.values()), transcripts) <= 0.12, transcripts


def test_sounds_without_speech_give_no_text(client: openai.OpenAI) -> None:
    for name, sound in non_speech().items():
        for decibels in (-20, -60):
            assert transcribe_samples(client, at(sound, decibels)) == "", (name, decibels)


def test_studio_recording_has_no_word_errors(client: openai.OpenAI) -> None:
    transcript = transcribe(client, RECORDINGS / "f5-tts" / "basic_ref_en.wav", "en")
    assert word_error_rate(["Some call me nature, others call me mother nature."], [transcript]) == 0.0, transcript


def test_stereo_recording_in_opposite_phase_has_no_word_errors(client: openai.OpenAI) -> None:
    with wave.open(str(RECORDINGS / "f5-tts" / "basic_ref_en.wav")) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").clip(-32767)
    stereo = wav(np.stack([samples, -samples], axis=1).tobytes(), rate=rate, channels=2, bits=16, kind=1)
    transcript = client.audio.transcriptions.create(model="whisper-base", file=("a.wav", stereo), language="en").text
    assert word_error_rate(["Some call me nature, others call me mother nature."], [transcript]) == 0.0, transcript


@pytest.mark.parametrize(
    ("field", "text"),
    [("t2s", "对这就是我万人敬仰的太乙真人"), ("s2t", "對這就是我萬人敬仰的太乙真人")],
)
def test_mandarin_has_few_character_errors_in_either_script(client: openai.OpenAI, field: str, text: str) -> None:
    with (RECORDINGS / "f5-tts" / "basic_ref_zh.wav").open("rb") as file:
        found = client.audio.transcriptions.create(
            model="whisper-base", file=file, language="zh", extra_body={field: "true"}
        ).text
    assert jiwer.cer(text, re.sub(r"\W", "", found)) <= 0.25, found


@pytest.mark.parametrize(("language", "bound"), [("es", 0.15), ("fr", 0.15)])
def test_telephone_prompts_have_few_word_errors(client: openai.OpenAI, language: str, bound: float) -> None:
    folder = RECORDINGS / "asterisk" / language
    with gzip.open(folder / f"core-sounds-{language}.txt.gz", "rt", encoding="utf-8") as file:
        lines = [line.split(":", 1) for line in file if ":" in line and not line.startswith(";")]
    texts = {name.strip(): without_accents(text) for name, text in lines}
    recordings = sorted(folder.glob("*.gsm"))
    transcripts = [without_accents(transcribe_telephone(client, recording, language)) for recording in recordings]
    assert word_error_rate([texts[recording.stem] for recording in recordings], transcripts) <= bound, transcripts
