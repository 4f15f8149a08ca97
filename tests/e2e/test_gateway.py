"""The gateway's surface over the real models, through the official client where it has a method."""

from __future__ import annotations

import io
import time
import wave
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
import soundfile

from tests.e2e.server import Server
from tests.e2e.words import ENGLISH, word_error_rate

TEXT = "The library closes at nine, but the reading room stays open."
SHORT_TEXT = "The library closes at nine."
LONG_TEXT = " ".join([TEXT] * 40)
FORMATS = ["mp3", "opus", "aac", "flac", "wav", "pcm"]
ENCODER_DELAY = {"mp3": 0.1, "opus": 0.0, "aac": 0.1, "flac": 0.0, "wav": 0.0, "pcm": 0.0}
"""Seconds of silence that the encoder of a format may add before and after the audio."""
DEADLINE = 300


def seconds_of(audio: bytes, kind: str) -> float:
    if kind == "pcm":
        return len(audio) / 2 / 24_000
    with av.open(io.BytesIO(audio), "r") as container:
        return float(sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)))


def joined(recordings: list[bytes]) -> bytes:
    """Join several WAV files into one FLAC file."""
    pieces, rates = zip(*(soundfile.read(io.BytesIO(each), dtype="int16") for each in recordings), strict=True)
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(pieces), rates[0], format="FLAC")
    return file.getvalue()


@pytest.fixture(scope="module")
def speech_seconds(client: openai.OpenAI) -> float:
    return seconds_of(
        client.audio.speech.create(model="tts-1", voice="alloy", input=SHORT_TEXT, response_format="pcm").content, "pcm"
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_decodes_to_audio_of_the_same_length(
    client: openai.OpenAI, kind: Any, speech_seconds: float
) -> None:
    audio = client.audio.speech.create(model="tts-1", voice="alloy", input=SHORT_TEXT, response_format=kind).content
    excess = seconds_of(audio, kind) - speech_seconds
    assert -0.05 <= excess <= 0.05 + ENCODER_DELAY[kind]


def test_wave_and_soundfile_read_the_same_samples(client: openai.OpenAI, speech_seconds: float) -> None:
    audio = client.audio.speech.create(model="tts-1", voice="alloy", input=SHORT_TEXT, response_format="wav").content
    with wave.open(io.BytesIO(audio)) as reader:
        samples = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    by_soundfile, rate = soundfile.read(io.BytesIO(audio), dtype="int16")
    assert rate == 24_000
    assert np.array_equal(samples, by_soundfile)
    assert abs(samples.size / rate - speech_seconds) <= 0.05


def test_first_audio_is_sent_before_the_last_is_synthesized(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="kokoro-82m", voice="af_heart", input=LONG_TEXT, response_format="pcm"
    ) as response:
        assert response.headers["x-tritone-model"] == "kokoro-82m"
        first = next(response.iter_bytes(1024))
    assert first


def test_slower_speech_is_longer(client: openai.OpenAI, speech_seconds: float) -> None:
    slow = client.audio.speech.create(model="tts-1", voice="alloy", input=SHORT_TEXT, response_format="pcm", speed=0.25)
    assert 3.0 <= seconds_of(slow.content, "pcm") / speech_seconds <= 5.0


def test_speech_event_stream_ends_with_usage(server: Server) -> None:
    body = {"model": "tts-1", "input": SHORT_TEXT, "stream_format": "sse", "response_format": "pcm"}
    events = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=DEADLINE).text
    assert '"type":"speech.audio.delta"' in events.replace(" ", "")
    assert '"type":"speech.audio.done"' in events.replace(" ", "")
    assert '"usage"' in events


def test_disconnect_of_a_client_cancels_its_request_in_triton(server: Server) -> None:
    cancelled = 'tritone_errors_total{model="kokoro-82m",reason="cancelled"}'
    before = server.metrics()[cancelled]
    body = {"model": "kokoro-82m", "input": LONG_TEXT, "response_format": "pcm"}
    with httpx.stream("POST", f"{server.url}/v1/audio/speech", json=body, timeout=DEADLINE) as response:
        next(response.iter_raw())
    deadline = time.monotonic() + DEADLINE
    while server.metrics()[cancelled] == before:
        assert time.monotonic() < deadline, "the model was not told of the cancellation"


def test_verbose_transcription_has_segments_and_words(client: openai.OpenAI) -> None:
    audio = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="mp3").content
    transcription = client.audio.transcriptions.create(
        model="whisper-1",
        file=("speech.mp3", audio),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert transcription.language == "english"
    assert transcription.segments
    assert transcription.words
    assert transcription.words[0].word.strip().lower() == "the"
    assert transcription.words[-1].end <= float(transcription.duration) + 0.1


def test_audio_over_thirty_seconds_is_transcribed_to_its_end(client: openai.OpenAI, english: list[bytes]) -> None:
    """Transcribe prose: repeated sentences make Whisper fall back to sampling, which may repeat one too often."""
    text = " ".join(ENGLISH)
    audio = joined(english)
    assert seconds_of(audio, "flac") > 30
    with client.audio.transcriptions.create(
        model="whisper-1", file=("long.flac", audio), language="en", stream=True
    ) as events:
        *before, done = events
    assert done.type == "transcript.text.done"
    deltas = [event.delta for event in before if event.type == "transcript.text.delta"]
    assert len(deltas) == len(before)
    assert "".join(deltas).strip() == done.text.strip()
    assert word_error_rate([text], [done.text]) <= 0.05, done.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK deprecates its own method
def test_spanish_speech_is_translated_into_english(client: openai.OpenAI) -> None:
    audio = client.audio.speech.create(
        model="kokoro-82m", voice="ef_dora", input="Buenos días. Me gusta mucho el café.", response_format="wav"
    )
    translation = client.audio.translations.create(model="whisper-1", file=("es.wav", audio.content))
    assert "good morning" in translation.text.lower()
    assert "coffee" in translation.text.lower()


def test_lists_have_the_models_and_the_voices(client: openai.OpenAI, server: Server) -> None:
    assert {"kokoro-82m", "whisper-base"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("kokoro-82m").owned_by == "hexgrad"
    voices = httpx.get(f"{server.url}/v1/audio/voices", timeout=DEADLINE).json()["voices"]
    assert {"id", "name"} <= set(voices[0])
    assert "af_heart" in [voice["id"] for voice in voices]
    assert {"id": "kokoro-82m"}.items() <= httpx.get(f"{server.url}/v1/audio/models", timeout=DEADLINE).json()[
        "models"
    ][0].items()


def test_mix_of_voices_says_the_text_and_sounds_like_neither_voice(client: openai.OpenAI) -> None:
    bella, mix, sky = (
        client.audio.speech.create(model="kokoro-82m", voice=voice, input=TEXT, response_format="wav").content
        for voice in ("af_bella", "af_bella(2)+af_sky(1)", "af_sky")
    )
    text = client.audio.transcriptions.create(model="whisper-1", file=("mix.wav", mix), language="en").text
    assert word_error_rate([TEXT], [text]) <= 0.1, text
    assert len({bella, mix, sky}) == 3
    with pytest.raises(openai.BadRequestError, match="no voice 'nobody'"):
        client.audio.speech.create(model="kokoro-82m", voice="af_bella+nobody", input=TEXT)


def test_unknown_voice_is_rejected_with_the_fields_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as rejected:
        client.audio.speech.create(model="tts-1", voice="nobody", input=TEXT)
    assert isinstance(rejected.value.body, dict)
    assert rejected.value.body["param"] == "voice"


def test_unknown_model_is_rejected_with_the_models_that_exist(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="kokoro-82m"):
        client.audio.speech.create(model="tts-9", voice="alloy", input=TEXT)
