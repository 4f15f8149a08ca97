"""Direct clients: Triton called over gRPC without the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from faster_whisper import decode_audio
from tritonclient.utils import InferenceServerException

from gateway.core.alignment import words_in
from tests.e2e.direct import DEADLINE, Outputs, Stream, outputs_of, tensor
from tests.e2e.server import ROOT, Server
from tests.e2e.words import word_error_rate
from tritone.contract import LISTEN_RATE, SPEECH_RATE, SpeechDescription, TranscriptionDescription
from tritone.served import MODEL, ServedDocument
from tritone.spoken_words import words_of
from tritone.transcript import Transcript

SENTENCE = "The library closes at nine, but the reading room stays open. You may come back tomorrow morning."
RECORDING = ROOT / "adapters" / "whisper" / "known_sentence.ogg"


@pytest.fixture
def direct(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def synthesize(client: triton.InferenceServerClient, text: str, **parameters: Any) -> list[Outputs]:
    """Return the outputs of each response to one speech request."""
    return list(Stream(client, "kokoro-82m", {"text": np.array([text.encode()], np.object_)}, **parameters))


def transcribe(client: triton.InferenceServerClient, audio: np.ndarray, **parameters: Any) -> Transcript:
    """Return the transcript of one window of 16 kHz audio."""
    window = tensor("audio", audio.reshape(1, -1).astype(np.float32))
    result = client.infer("whisper-base", [window], parameters=parameters, client_timeout=DEADLINE)
    return Transcript.from_columns(outputs_of(result))


def document(client: triton.InferenceServerClient, **parameters: Any) -> ServedDocument:
    """Return the document of the server's models."""
    [response] = Stream(client, MODEL, {}, **parameters)
    return ServedDocument.from_json(response["document"].item())


def test_synthesized_speech_is_streamed_and_transcribes_to_its_text(direct: triton.InferenceServerClient) -> None:
    responses = synthesize(direct, SENTENCE, voice="af_heart")
    pieces = [response["audio"] for response in responses]
    assert sum(piece.size > 0 for piece in pieces) >= 2, "the audio came in one piece"
    assert {int(response["sample_rate"][0]) for response in responses} == {SPEECH_RATE}

    last = responses[-1]
    assert last["finish_reason"].tolist() == [b"stop"]
    assert last["text_tokens"][0] > 0
    assert 0 < last["first_audio_seconds"][0] < last["total_seconds"][0]

    audio = np.concatenate(pieces).astype(np.float32) / 32768
    resampled = np.interp(np.arange(0, audio.size, SPEECH_RATE / LISTEN_RATE), np.arange(audio.size), audio)
    transcript = transcribe(direct, resampled, language="en", word_timestamps=True)
    text = "".join(segment.text for segment in transcript.segments)
    assert word_error_rate([SENTENCE], [text]) <= 0.06, text
    assert "".join(word.text for segment in transcript.segments for word in segment.words).strip() == text.strip()


def test_words_that_kokoro_times_are_aligned_near_their_times(direct: triton.InferenceServerClient) -> None:
    text = "The library closes at nine, but the reading room stays open."
    responses = synthesize(direct, text, voice="af_heart", word_timestamps=True)
    own = [word for response in responses for word in words_of(response)]
    assert "".join(word.text for word in own) == text
    audio = np.concatenate([response["audio"] for response in responses]).astype(np.float32) / 32768
    resampled = np.interp(np.arange(0, audio.size, SPEECH_RATE / LISTEN_RATE), np.arange(audio.size), audio)
    [segment] = transcribe(direct, resampled, known_text=text).segments
    assert segment.text.strip() == text
    aligned = words_in(text, segment.words)
    assert np.median([abs(a.start - b.start) for a, b in zip(aligned, own, strict=True)]) < 0.1


def test_mix_of_voices_is_synthesized_and_its_errors_name_the_voice(direct: triton.InferenceServerClient) -> None:
    [*_, last] = synthesize(direct, "Good morning.", voice="af_bella(2)+af_sky(1)")
    assert last["finish_reason"].tolist() == [b"stop"]
    with pytest.raises(InferenceServerException, match="voice: 'bogus' is unknown"):
        synthesize(direct, "Good morning.", voice="af_bella+bogus")


def test_speech_model_describes_its_voices_and_languages(direct: triton.InferenceServerClient) -> None:
    [response] = synthesize(direct, "?", describe=True)
    description = SpeechDescription.from_json(response["description"][0])
    assert description.default_voice in [voice.id for voice in description.voices]
    assert {"en", "es", "fr", "zh"} <= set(description.languages)


def test_transcription_model_describes_itself_in_the_one_output_that_was_requested(
    direct: triton.InferenceServerClient,
) -> None:
    result = direct.infer(
        "whisper-base",
        [tensor("audio", np.zeros((1, LISTEN_RATE // 10), np.float32))],
        outputs=[triton.InferRequestedOutput("description")],
        parameters={"describe": True},
        client_timeout=DEADLINE,
    )
    assert list(outputs_of(result)) == ["description"]
    description = TranscriptionDescription.from_json(result.as_numpy("description").item())
    assert {"en", "es", "fr", "zh"} <= set(description.languages)
    assert description.tasks == ("transcribe", "translate")
    assert {"word_timestamps", "prompt", "logprobs"} <= set(description.options)


def test_document_lists_each_model_as_ready_with_its_description(direct: triton.InferenceServerClient) -> None:
    current = document(direct)
    assert current.state == "serving"
    assert {model.id: (model.kind, model.state) for model in current.models} == {
        "kokoro-82m": ("speech", "ready"),
        "whisper-base": ("transcription", "ready"),
    }
    [response] = synthesize(direct, "?", describe=True)
    described = {model.id: model.description for model in current.models}
    assert described["kokoro-82m"] == SpeechDescription.from_json(response["description"][0])
    assert isinstance(described["whisper-base"], TranscriptionDescription)
    assert all(model.created > 0 and model.aliases for model in current.models)


@pytest.mark.parametrize("wait_seconds", [0.0, 0.2])
def test_document_request_with_the_current_version_gets_the_same_version_after_its_wait(
    direct: triton.InferenceServerClient, wait_seconds: float
) -> None:
    current = document(direct)
    assert document(direct, version=current.version, wait_seconds=wait_seconds) == current


def test_document_request_with_another_version_is_answered_with_the_current_one(
    direct: triton.InferenceServerClient,
) -> None:
    current = document(direct)
    assert document(direct, version=current.version - 1, wait_seconds=30.0) == current


def test_wait_for_the_document_that_is_too_long_is_rejected(direct: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="wait_seconds: 31 is out of range"):
        document(direct, wait_seconds=31.0)


def test_background_window_gets_the_same_transcript_as_any_other(direct: triton.InferenceServerClient) -> None:
    audio = decode_audio(str(RECORDING), sampling_rate=LISTEN_RATE)
    transcript = transcribe(direct, audio, language="en")
    assert transcript.segments
    assert transcribe(direct, audio, language="en", background=True) == transcript
    with pytest.raises(InferenceServerException, match="temperature: "):
        transcribe(direct, audio, temperature=3.0, background=True)


def test_language_is_detected_if_the_request_names_none(direct: triton.InferenceServerClient) -> None:
    responses = synthesize(direct, "Bonjour, je voudrais acheter deux billets.", voice="ff_siwis")
    samples = np.concatenate([response["audio"] for response in responses])
    audio = samples.astype(np.float32)[:: SPEECH_RATE // 8000].repeat(2) / 32768
    transcript = transcribe(direct, audio)
    assert transcript.language == "fr"
    assert transcript.language_probability > 0.5


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("", {}, "text: "),
        ("Hello.", {"voice": "nobody"}, "voice: 'nobody' is unknown"),
        ("Hello.", {"speed": 9.0}, "speed: 9 is out of range"),
        ("Hello.", {"pitch": 2}, "pitch: unknown parameter"),
    ],
    ids=["empty text", "voice", "speed", "parameter"],
)
def test_invalid_speech_request_is_rejected_with_the_fields_name(
    direct: triton.InferenceServerClient, text: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        synthesize(direct, text, **parameters)


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
def test_invalid_window_is_rejected_with_the_fields_name(
    direct: triton.InferenceServerClient, audio: np.ndarray, parameters: dict[str, Any], field: str
) -> None:
    with pytest.raises(InferenceServerException, match=rf"{field}: ") as rejected:
        transcribe(direct, audio, **parameters)
    assert rejected.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_model_control_without_the_secret_is_rejected(direct: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="protocol is restricted"):
        direct.unload_model("kokoro-82m")
    with pytest.raises(InferenceServerException, match="protocol is restricted"):
        direct.get_model_repository_index()
