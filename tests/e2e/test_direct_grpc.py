"""Internal services call Triton itself, with nothing but tritonclient."""

from __future__ import annotations

import queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from faster_whisper import decode_audio
from tritonclient.utils import InferenceServerException

from tests.e2e.server import ROOT, Server
from tests.e2e.words import word_error_rate
from tritone.contract import LISTEN_RATE, SPEECH_RATE, SpeechDescription
from tritone.transcript import Transcript

SENTENCE = "The library closes at nine, but the reading room stays open. You may come back tomorrow morning."
DEADLINE = 60


@pytest.fixture
def direct(server: Server):
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def speak(client: triton.InferenceServerClient, text: str, **parameters: Any) -> list[triton.InferResult]:
    """Every response of one speech request, in order."""
    answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
    given = triton.InferInput("text", [1], "BYTES")
    given.set_data_from_numpy(np.array([text.encode()], dtype=np.object_))
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    try:
        client.async_stream_infer("kokoro-82m", [given], parameters=parameters)
        responses: list[triton.InferResult] = []
        while not responses or responses[-1].as_numpy("finish_reason") is None:
            result, error = answers.get(timeout=DEADLINE)
            if error is not None:
                raise error
            responses.append(result)
            if result.as_numpy("description") is not None:
                break
        return responses
    finally:
        client.stop_stream()


def listen(client: triton.InferenceServerClient, audio: np.ndarray, **parameters: Any) -> Transcript:
    """The transcript of one window of 16 kHz audio."""
    given = triton.InferInput("audio", [1, audio.size], "FP32")
    given.set_data_from_numpy(audio.reshape(1, -1).astype(np.float32))
    result = client.infer("whisper-base", [given], parameters=parameters, client_timeout=DEADLINE)
    names = [output.name for output in result.get_response().outputs]
    return Transcript.from_columns({name: result.as_numpy(name) for name in names})


def test_speech_streams_and_is_heard_again(direct: triton.InferenceServerClient) -> None:
    responses = speak(direct, SENTENCE, voice="af_heart")
    pieces = [response.as_numpy("audio") for response in responses]
    assert sum(piece.size > 0 for piece in pieces) >= 2, "the audio came in one piece"
    assert {int(response.as_numpy("sample_rate")[0]) for response in responses} == {SPEECH_RATE}

    last = responses[-1]
    assert last.as_numpy("finish_reason")[0] == b"stop"
    assert last.as_numpy("text_tokens")[0] > 0
    assert 0 < last.as_numpy("first_audio_seconds")[0] < last.as_numpy("total_seconds")[0]

    audio = np.concatenate(pieces).astype(np.float32) / 32768
    resampled = np.interp(np.arange(0, audio.size, SPEECH_RATE / LISTEN_RATE), np.arange(audio.size), audio)
    transcript = listen(direct, resampled, language="en", word_timestamps=True)
    heard = "".join(segment.text for segment in transcript.segments)
    assert word_error_rate([SENTENCE], [heard]) <= 0.06, heard
    assert "".join(word.text for segment in transcript.segments for word in segment.words).strip() == heard.strip()


def test_a_speech_model_describes_its_voices(direct: triton.InferenceServerClient) -> None:
    (response,) = speak(direct, "?", describe=True)
    description = SpeechDescription.from_json(response.as_numpy("description")[0])
    assert description.default_voice in [voice.id for voice in description.voices]
    assert {"en", "es", "fr", "zh"} <= set(description.languages)


def test_a_window_that_may_wait_is_heard_like_any_other(direct: triton.InferenceServerClient) -> None:
    audio = decode_audio(str(ROOT / "adapters" / "whisper" / "known_sentence.ogg"), sampling_rate=LISTEN_RATE)
    transcript = listen(direct, audio, language="en")
    assert transcript.segments
    assert listen(direct, audio, language="en", background=True) == transcript
    with pytest.raises(InferenceServerException, match="temperature: "):
        listen(direct, audio, temperature=3.0, background=True)


def test_the_language_is_detected_when_it_is_not_given(direct: triton.InferenceServerClient) -> None:
    pieces = [
        r.as_numpy("audio") for r in speak(direct, "Bonjour, je voudrais acheter deux billets.", voice="ff_siwis")
    ]
    audio = np.concatenate(pieces).astype(np.float32)[:: SPEECH_RATE // 8000].repeat(2) / 32768
    transcript = listen(direct, audio)
    assert transcript.language == "fr"
    assert transcript.language_probability > 0.5


@pytest.mark.parametrize(
    ("text", "parameters", "field"),
    [
        ("", {}, "text"),
        ("Hello.", {"voice": "nobody"}, "voice"),
        ("Hello.", {"speed": 9.0}, "speed"),
        ("Hello.", {"pitch": 2}, "pitch"),
    ],
)
def test_bad_speech_input_is_refused_with_the_fields_name(
    direct: triton.InferenceServerClient, text: str, parameters: dict[str, Any], field: str
) -> None:
    with pytest.raises(InferenceServerException, match=rf"{field}: ") as refused:
        speak(direct, text, **parameters)
    assert "INVALID_ARG" in str(refused.value.status()) or refused.value.status() is None


@pytest.mark.parametrize(
    ("audio", "parameters", "field"),
    [
        (np.zeros(31 * LISTEN_RATE), {}, "audio"),
        (np.full(LISTEN_RATE, np.nan), {}, "audio"),
        (np.zeros(LISTEN_RATE), {"language": "klingon"}, "language"),
        (np.zeros(LISTEN_RATE), {"temperature": 7.0}, "temperature"),
    ],
    ids=["too long", "nan", "language", "temperature"],
)
def test_bad_audio_is_refused_with_the_fields_name(
    direct: triton.InferenceServerClient, audio: np.ndarray, parameters: dict[str, Any], field: str
) -> None:
    with pytest.raises(InferenceServerException, match=rf"{field}: ") as refused:
        listen(direct, audio, **parameters)
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_model_control_is_closed_to_those_without_the_secret(direct: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="protocol is restricted"):
        direct.unload_model("kokoro-82m")
    with pytest.raises(InferenceServerException, match="protocol is restricted"):
        direct.get_model_repository_index()
