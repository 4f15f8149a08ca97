"""SageMaker's container contract, over HTTP as the service calls it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.recordings import encoded, parts, tone
from tests.unit.gateway.sound import decode
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tritone.errors import Overloaded
from tritone.transcript import Transcript

HELLO = {"input": "Hello there."}
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
RECORDING = encoded(parts(1), "flac", "flac")


@pytest.fixture
def whisper(triton: FakeTriton) -> FakeWhisper:
    whisper = FakeWhisper()
    whisper.script = {0: Transcript("en", 0.9, (segment(" Good morning."),))}
    triton.handlers["whisper-base"] = whisper
    return whisper


async def speak(gateway: Gateway, accept: str = "*/*", attributes: str = "", **fields: Any) -> httpx.Response:
    headers = {"accept": accept, ATTRIBUTES: attributes}
    return await gateway.http.post("/invocations", json={**HELLO, **fields}, headers=headers)


async def hear(gateway: Gateway, accept: str = "*/*", attributes: str = "", kind: str = "audio/flac") -> httpx.Response:
    headers = {"accept": accept, ATTRIBUTES: attributes, "content-type": kind}
    return await gateway.http.post("/invocations", content=RECORDING, headers=headers)


async def test_ping_is_200_and_empty_when_the_chosen_models_are_loaded(gateway: Gateway) -> None:
    answer = await gateway.http.get("/ping")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("state", ["loading", "failed"])
async def test_ping_is_503_while_a_chosen_model_is_not_loaded(gateway: Gateway, triton: FakeTriton, state: Any) -> None:
    triton.states["whisper-base"] = state
    await gateway.follow(triton)
    answer = await gateway.http.get("/ping")
    assert answer.status_code == 503
    assert "whisper-base" in answer.json()["error"]["message"]


async def test_ping_needs_no_key_and_invocations_do(serve: Serve, triton: FakeTriton) -> None:
    async with serve(api_keys="sk-one") as gateway:
        await gateway.follow(triton)
        assert (await gateway.http.get("/ping")).status_code == 200
        assert (await speak(gateway)).status_code == 401
        keyed = {"authorization": "Bearer sk-one"}
        assert (await gateway.http.post("/invocations", json=HELLO, headers=keyed)).status_code == 200


@pytest.mark.parametrize(
    ("accept", "content_type", "audio_format"),
    [
        ("*/*", "audio/mpeg", "mp3"),
        ("", "audio/mpeg", "mp3"),
        ("audio/wav", "audio/wav", "wav"),
        ("audio/x-wav", "audio/wav", "wav"),
        ("audio/ogg", "audio/ogg", "opus"),
        ("audio/flac, */*;q=0.1", "audio/flac", "flac"),
        ("audio/pcm", "audio/pcm", "pcm"),
    ],
)
async def test_accept_chooses_the_format_of_speech(
    gateway: Gateway, accept: str, content_type: str, audio_format: str
) -> None:
    answer = await speak(gateway, accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    samples, rate = decode(answer.content, audio_format)
    assert len(samples) / rate == pytest.approx(1.2, abs=0.1)


async def test_speech_as_json_holds_the_file_in_base64(gateway: Gateway) -> None:
    answer = await speak(gateway, "application/json", response_format="wav")
    assert answer.headers["content-type"] == "application/json"
    fields = answer.json()
    samples, rate = decode(base64.b64decode(fields.pop("audio")), "wav")
    assert len(samples) / rate == pytest.approx(1.2, abs=0.01)
    assert fields == {"format": "wav", "sample_rate": 24_000, "duration": 1.2, "finish_reason": "stop"}


async def test_speech_as_events_ends_with_its_usage(gateway: Gateway) -> None:
    answer = await speak(gateway, "text/event-stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"type":"speech.audio.done"' in answer.text.splitlines()[-2]


async def test_a_whole_file_has_its_length(gateway: Gateway) -> None:
    streamed = await speak(gateway, "audio/wav")
    whole = await speak(gateway, "audio/wav", stream=False)
    assert "content-length" not in streamed.headers
    assert int(whole.headers["content-length"]) == len(whole.content)


async def test_custom_attributes_complete_the_fields_of_a_text(gateway: Gateway, triton: FakeTriton) -> None:
    answer = await speak(gateway, attributes="voice=af_kore,response_format=wav,trace-4711", voice="af_bella")
    assert answer.headers["content-type"] == "audio/wav"
    assert triton.calls[-1].parameters["voice"] == "af_bella", "the body's own field counts"
    await speak(gateway, attributes="voice=af_kore&stream=false")
    assert triton.calls[-1].parameters["voice"] == "af_kore"


async def test_the_model_and_fields_without_effect_are_named_in_the_header_that_comes_back(gateway: Gateway) -> None:
    answer = await speak(gateway, instructions="Whisper.", colour="blue")
    assert answer.headers[ATTRIBUTES] == "model=kokoro-82m&ignored=instructions%2C+colour"


async def test_the_body_of_tts_is_answered_as_on_tts(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    body = {"text": "Hello.", "ref_audio": base64.b64encode(encoded(tone(2), "wav", "pcm_s16le")).decode()}
    headers = {"accept": "application/json", ATTRIBUTES: "ref_text=A%20tone."}
    answer = await qwen_gateway.http.post("/invocations", json=body, headers=headers)
    assert decode(base64.b64decode(answer.json()["audio"]), "wav")[1] == 24_000
    assert (triton.calls[-1].model, triton.calls[-1].parameters["ref_text"]) == ("qwen3-tts-1.7b-clone", "A tone.")
    wrong = await qwen_gateway.http.post("/invocations", json={**body, "seed": "many"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "seed")


@pytest.mark.parametrize(
    ("fields", "accept", "status", "message"),
    [
        ({"input": ""}, "*/*", 400, "input: there is nothing to synthesize"),
        ({"speed": 9}, "*/*", 400, "speed: Input should be less than or equal to 4"),
        ({"voice": "bogus"}, "*/*", 400, "voice: kokoro-82m has no voice 'bogus'"),
        ({"model": "bogus"}, "*/*", 404, "no speech model 'bogus' is served"),
        ({}, "image/png", 406, "Accept: 'image/png' is not possible here; choose audio/mpeg, application/json"),
        ({"response_format": "mp3"}, "audio/wav", 406, "Accept: 'audio/wav' is not possible here; choose audio/mpeg"),
    ],
)
async def test_an_error_is_json_with_its_status(
    gateway: Gateway, fields: dict[str, Any], accept: str, status: int, message: str
) -> None:
    answer = await speak(gateway, accept, **fields)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize(("body", "problem"), [(b"{", "it is not JSON"), (b"[]", "it is not a JSON object")])
async def test_a_body_that_is_no_object_is_a_400(gateway: Gateway, body: bytes, problem: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await gateway.http.post("/invocations", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"body: {problem}")


async def test_a_failure_of_the_model_has_its_status(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.chunks, kokoro.failure = [], Overloaded("64 requests", 7)
    answer = await speak(gateway)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize("kind", ["audio/flac", "audio/x-flac", "application/octet-stream", "video/mp4"])
async def test_a_recording_as_the_body_is_transcribed(gateway: Gateway, whisper: FakeWhisper, kind: str) -> None:
    answer = await hear(gateway, kind=kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["text"] == "Good morning."
    assert answer.headers[ATTRIBUTES] == "model=whisper-base"


@pytest.mark.parametrize(
    ("accept", "content_type", "begin"),
    [
        ("application/json", "application/json", '{"text":"Good morning."'),
        ("text/plain", "text/plain; charset=utf-8", "Good morning.\n"),
        ("text/vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.500"),
        ("application/x-subrip", "application/x-subrip; charset=utf-8", "1\n00:00:00,500"),
        ("text/srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,500"),
        ("text/event-stream", "text/event-stream; charset=utf-8", 'data: {"type":"transcript.text.delta"'),
    ],
)
async def test_accept_chooses_the_format_of_a_transcript(
    gateway: Gateway, whisper: FakeWhisper, accept: str, content_type: str, begin: str
) -> None:
    answer = await hear(gateway, accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.text.startswith(begin)


async def test_custom_attributes_hold_the_options_of_a_recording(gateway: Gateway, whisper: FakeWhisper) -> None:
    attributes = "response_format=verbose_json&timestamp_granularities=word&task=translate&prompt=%ED%95%9C+a%2C+b"
    answer = await hear(gateway, attributes=attributes)
    assert answer.json()["words"][0] == {"word": "Good", "start": 0.5, "end": 1.0}
    assert whisper.calls[0].parameters["task"] == "translate"
    assert whisper.calls[0].parameters["prompt"] == "한 a, b"


async def test_the_query_holds_them_for_callers_without_sagemaker(gateway: Gateway, whisper: FakeWhisper) -> None:
    url = "/invocations?language=en&languages=ko"
    answer = await gateway.http.post(url, content=RECORDING, headers={"content-type": "audio/flac"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "languages"
    url = "/invocations?language=en"
    await gateway.http.post(url, content=RECORDING, headers={"content-type": "audio/flac"})
    assert whisper.calls[0].parameters["language"] == "en"


async def test_a_form_is_transcribed_and_its_fields_count_before_the_attributes(
    gateway: Gateway, whisper: FakeWhisper
) -> None:
    headers = {ATTRIBUTES: "response_format=srt&language=ko"}
    form = {"response_format": "text"}
    answer = await gateway.http.post("/invocations", data=form, files={"file": ("a.flac", RECORDING)}, headers=headers)
    assert answer.text == "Good morning.\n"
    assert whisper.calls[0].parameters["language"] == "ko"


async def test_a_json_body_may_hold_the_recording(gateway: Gateway, whisper: FakeWhisper) -> None:
    audio = {"data": base64.b64encode(RECORDING).decode(), "format": "flac"}
    answer = await gateway.http.post(
        "/invocations", json={"input_audio": audio, "language": "en"}, headers={"accept": "text/plain"}
    )
    assert answer.text == "Good morning.\n"
    assert whisper.calls[0].parameters["language"] == "en"


@pytest.mark.parametrize(
    ("attributes", "accept", "status", "message"),
    [
        ("language=klingonese", "*/*", 400, "language: "),
        ("response_format=srt", "application/json", 406, "Accept: 'application/json' is not possible here; choose app"),
        ("response_format=doc", "*/*", 400, "response_format: "),
        ("model=bogus", "*/*", 404, "no transcription model 'bogus' is served"),
    ],
)
async def test_a_wrong_option_of_a_recording_is_named(
    gateway: Gateway, whisper: FakeWhisper, attributes: str, accept: str, status: int, message: str
) -> None:
    answer = await hear(gateway, accept, attributes)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(message)


async def test_an_empty_recording_is_a_400(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await gateway.http.post("/invocations", content=b"", headers={"content-type": "audio/wav"})
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "file: it is empty",
        "type": "invalid_request_error",
        "param": "file",
        "code": None,
    }


@pytest.mark.parametrize("kind", ["text/csv", "image/png", ""])
async def test_another_content_type_is_a_415(gateway: Gateway, kind: str) -> None:
    answer = await gateway.http.post("/invocations", content=b"a,b", headers={"content-type": kind})
    assert answer.status_code == 415
    assert "send application/json, multipart/form-data or a recording" in answer.json()["error"]["message"]


async def test_a_recording_may_be_larger_than_a_body_in_memory(
    serve: Serve, triton: FakeTriton, whisper: FakeWhisper, tmp_path: Path
) -> None:
    size = len(RECORDING)
    async with serve(max_json_bytes=1000, max_upload_bytes=size) as gateway:
        await gateway.follow(triton)
        assert (await hear(gateway)).json()["text"] == "Good morning."
        assert (await hear(gateway, kind="application/json")).status_code == 413
        plain = {"content-type": "audio/flac"}
        elsewhere = await gateway.http.post("/v1/audio/speech", content=RECORDING, headers=plain)
        assert elsewhere.status_code == 413, "a route that reads its body into memory has the smaller limit"
    async with serve(max_upload_bytes=size - 1) as gateway:
        assert (await hear(gateway)).status_code == 413
