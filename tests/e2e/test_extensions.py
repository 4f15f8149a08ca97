"""Model families and an HTTP surface from outside the tree, on the real Triton, through the gateway and the SDK.

Each is a folder below tests/; the settings below are the one line that adds it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.e2e.direct import Stream
from tests.e2e.server import ROOT, TOYS, Server, serve
from tritone.contract import LISTEN_RATE
from tritone.served import MODEL, ServedDocument

SURFACES = "tests.toy_surfaces.echo_surface"
RECORDING = ROOT / "adapters" / "whisper" / "known_sentence.ogg"
TEXT = "Many words make a long tone."


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("extended") / "serve.log"
    with serve(log, **TOYS, EXTRA_SURFACES=SURFACES) as server:
        yield server


@pytest.fixture(scope="module")
def sdk(extended: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{extended.url}/v1", api_key="unused", max_retries=0, timeout=300) as client:
        yield client


def hertz(audio: bytes) -> float:
    """Return the strongest frequency of a WAV file."""
    samples, rate = soundfile.read(io.BytesIO(audio))
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def test_toy_models_are_listed_with_their_owner_and_voices(sdk: openai.OpenAI, extended: Server) -> None:
    assert {model.id: model.owned_by for model in sdk.models.list()} == {"sine": "tests", "counter": "tests"}
    voices = httpx.get(f"{extended.url}/v1/audio/voices", timeout=300).json()["voices"]
    assert [voice["id"] for voice in voices] == ["low", "high"]


@pytest.mark.parametrize(("voice", "expected"), [("low", 220), ("high", 440), ("nova", 440)])
def test_toy_speech_model_synthesizes_in_the_requested_voice(sdk: openai.OpenAI, voice: str, expected: float) -> None:
    audio = sdk.audio.speech.create(model="sine", voice=voice, input=TEXT, response_format="wav").content
    assert hertz(audio) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text"])
def test_toy_transcription_model_transcribes_a_recording(sdk: openai.OpenAI, response_format: Any) -> None:
    """Transcribe a recording of speech: the gateway drops all other sound."""
    answer = sdk.audio.transcriptions.create(model="counter", file=RECORDING, response_format=response_format)
    assert re.fullmatch(r"[2-9] seconds (low|high)", (answer if isinstance(answer, str) else answer.text).strip())


def test_ignored_header_names_options_that_the_toy_model_lacks(sdk: openai.OpenAI) -> None:
    answer = sdk.audio.speech.with_raw_response.create(
        model="sine", voice="low", input=TEXT, instructions="Whisper.", extra_body={"temperature": 0.5}
    )
    assert answer.headers["x-tritone-ignored"] == "instructions, temperature"


def test_toy_surface_synthesizes_through_the_same_use_case(extended: Server) -> None:
    body = {"text": TEXT, "model": "sine", "voice": "high"}
    answer = httpx.post(f"{extended.url}/toy/speak", json=body, timeout=300).raise_for_status()
    assert hertz(answer.content) == pytest.approx(440, rel=0.02)


@pytest.fixture(scope="module")
def direct(extended: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(extended.grpc) as client:
        yield client


def test_served_document_describes_the_toy_models(direct: triton.InferenceServerClient) -> None:
    [response] = Stream(direct, MODEL, {})
    document = ServedDocument.from_json(response["document"].item())
    assert document.state == "serving"
    assert {model.id: (model.kind, model.state) for model in document.models} == {
        "sine": ("speech", "ready"),
        "counter": ("transcription", "ready"),
    }
    assert all(model.description is not None and model.created > 0 for model in document.models)


def test_toy_transcription_model_serves_long_recordings(direct: triton.InferenceServerClient) -> None:
    silence = np.zeros(2 * LISTEN_RATE, np.float32)
    assert list(Stream(direct, "transcription-long", {"audio": silence})) == []
    with pytest.raises(InferenceServerException, match="model: "):
        list(Stream(direct, "transcription-long", {"audio": silence}, model="whisper-base"))
