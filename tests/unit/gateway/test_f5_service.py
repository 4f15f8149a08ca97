"""`POST /tts`, as clients of the F5-TTS service send it."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.f5_tts.accept import Accepted, accepted
from tests.fake_triton import FakeTriton
from tests.ports import free_ports
from tests.unit.gateway.conftest import QWEN, FakeSpeech, Gateway
from tests.unit.gateway.process import running
from tests.unit.gateway.recordings import encoded, parts, tone
from tests.unit.gateway.sound import decode
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tritone.descriptions import Voice
from tritone.errors import Overloaded
from tritone.transcript import Transcript

VOICE = base64.b64encode(encoded(tone(2), "wav", "pcm_s16le")).decode()
BODY = {"text": "Hello.", "ref_audio": VOICE, "ref_text": "A tone."}
CLONE = "qwen3-tts-1.7b-clone"


async def tts(gateway: Gateway, accept: str = "*/*", path: str = "/tts", **change: Any) -> httpx.Response:
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None}
    return await gateway.http.post(path, json=body, headers={"accept": accept})


@pytest.mark.parametrize(("path", "seconds"), [("/tts", 2.5), ("/f5/tts", 3.5)])
async def test_tts_answers_with_a_whole_wav_file(
    qwen_gateway: Gateway, triton: FakeTriton, path: str, seconds: float
) -> None:
    new = base64.b64encode(encoded(tone(seconds), "wav", "pcm_s16le")).decode()  # a known voice is sent by its key
    answer = await tts(qwen_gateway, path=path, ref_audio=new)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    assert int(answer.headers["content-length"]) == len(answer.content)
    samples, rate = decode(answer.content, "wav")
    assert len(samples) / rate == pytest.approx(1.2, abs=0.01)
    call = triton.calls[-1]  # the first one may only name the recording, which the model may know already
    assert (call.model, call.parameters["ref_text"]) == (CLONE, "A tone.")
    assert len(call.inputs["ref_audio"]) == pytest.approx(seconds * 24_000, abs=100)


async def test_tts_answers_clients_of_json_with_base64(qwen_gateway: Gateway) -> None:
    answer = await tts(qwen_gateway, "application/json")
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"audio", "format", "sample_rate", "duration", "finish_reason"}
    assert (body["format"], body["sample_rate"], body["finish_reason"]) == ("wav", 24_000, "stop")
    plain = await tts(qwen_gateway, "audio/wav")
    assert base64.b64decode(body["audio"], validate=True) == plain.content
    assert body["duration"] == pytest.approx(1.2, abs=0.01)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Accepted(False, "wav")),
        ("*/*", Accepted(False, "wav")),
        ("text/html", Accepted(False, "wav")),
        ("application/json", Accepted(True, "wav")),
        ("application/json, text/plain, */*", Accepted(True, "wav")),
        ("Application/JSON; q=0.5, audio/mpeg", Accepted(False, "mp3")),
        ("application/json, audio/flac;q=0.9", Accepted(True, "flac")),
        ("application/json;q=0, */*", Accepted(False, "wav")),
        ("audio/*;q=x", Accepted(False, "wav")),
    ],
)
def test_accept_chooses_between_audio_and_json(header: str, expected: Accepted) -> None:
    assert accepted(header) == expected


async def test_the_format_of_the_body_comes_before_that_of_the_header(qwen_gateway: Gateway) -> None:
    assert (await tts(qwen_gateway, "audio/mpeg")).headers["content-type"] == "audio/mpeg"
    answer = await tts(qwen_gateway, "audio/mpeg", response_format="flac")
    assert answer.headers["content-type"] == "audio/flac"


async def test_a_streamed_answer_has_no_length(qwen_gateway: Gateway) -> None:
    answer = await tts(qwen_gateway, stream=True)
    assert "content-length" not in answer.headers
    assert decode(answer.content, "wav")[1] == 24_000


async def test_options_without_effect_and_unknown_fields_are_told(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    answer = await tts(qwen_gateway, nfe_step=16, cfg_strength=1.5, seed=7, remove_silence=True, voice="anna")
    ignored = answer.headers["x-tritone-ignored"].split(", ")
    assert sorted(ignored) == ["cfg_strength", "nfe_step", "remove_silence", "voice"]
    assert triton.calls[0].parameters["seed"] == 7


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"text": None}, 400, "text: "),
        ({"text": " "}, 400, "text: there is nothing to synthesize"),
        ({"seed": "many"}, 400, "seed: "),
        ({"speed": 9}, 400, "speed: "),
        ({"ref_audio": None}, 400, f"ref_audio: {CLONE} needs it"),
        ({"ref_audio": "../secret.wav"}, 400, "ref_audio: there is no such file below REF_AUDIO_DIR"),
        ({"ref_audio": "http://10.0.0.1/a.wav"}, 400, "ref_audio: addresses are not fetched here"),
        ({"response_format": "midi"}, 400, "response_format: "),
        ({"model": "nobody"}, 404, "no speech model 'nobody' is served"),
    ],
)
async def test_errors_have_fastapis_form(
    qwen_gateway: Gateway, change: dict[str, Any], status: int, detail: str
) -> None:
    answer = await tts(qwen_gateway, **change)
    assert (answer.status_code, answer.json().keys()) == (status, {"detail"})
    assert answer.json()["detail"].startswith(detail)


async def test_a_full_model_is_told(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    model = triton.handlers[CLONE]
    assert isinstance(model, FakeSpeech)
    model.chunks, model.failure = [], Overloaded("full", 3)
    answer = await tts(qwen_gateway)
    assert (answer.status_code, answer.headers["retry-after"], answer.json().keys()) == (503, "3", {"detail"})


async def test_without_a_clone_model_the_last_name_of_the_setting_is_told(gateway: Gateway) -> None:
    answer = await tts(gateway)
    assert answer.status_code == 404
    assert "no speech model 'qwen3-tts-0.6b-clone' is served; choose from: kokoro-82m" in answer.json()["detail"]


async def test_missing_words_are_transcribed(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    whisper = FakeWhisper({0: Transcript("en", 0.9, (segment(" Good morning."),))})
    triton.handlers["whisper-base"] = whisper
    await qwen_gateway.follow(triton)
    answer = await tts(qwen_gateway, ref_text=None, ref_audio=spoken())
    assert answer.status_code == 200, answer.text
    assert triton.calls[-1].parameters["ref_text"] == "Good morning."


async def test_missing_words_without_a_transcription_model_are_told(qwen_gateway: Gateway) -> None:
    answer = await tts(qwen_gateway, ref_text="")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("ref_text: it is missing: send the words of ref_audio")


async def test_a_clone_model_with_a_voice_of_its_own_needs_no_recording(
    qwen_gateway: Gateway, triton: FakeTriton
) -> None:
    own = dataclasses.replace(QWEN[CLONE], voices=(Voice("basic", "Basic"),), options=("voice", "ref_text"))
    triton.handlers[CLONE] = FakeSpeech(description=own)
    await qwen_gateway.follow(triton)
    answer = await tts(qwen_gateway, ref_audio=None, ref_text=None)
    assert answer.status_code == 200, answer.text
    assert "ref_audio" not in triton.calls[0].inputs
    named = await tts(qwen_gateway, ref_audio=None, ref_text=None, voice="BASIC")
    assert (named.status_code, triton.calls[1].parameters) == (200, {"voice": "basic"})


async def test_a_port_of_its_own_has_tts_at_its_root(triton: FakeTriton, tmp_path: Path) -> None:
    del triton.handlers["whisper-base"]  # a gateway needs the detector's weights for it
    await triton.publish()
    (port,) = free_ports(1)
    async with running(triton.address, tmp_path, SURFACE_PORTS=f"f5={port}"), httpx.AsyncClient(timeout=300) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/tts", json={})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("text: ")


def spoken() -> str:
    """Return loud audio, which the detectors of the tests take for speech, in base64."""
    return base64.b64encode(encoded(parts(1), "flac", "flac")).decode()
