"""The Zonos service over HTTP: audio itself without a bucket; with one, where it is, and a notice on the queue."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.jobs.ledger import JobFailed
from gateway.core.queues.consumer import Message
from gateway.zonos.messages import JobMessages
from tests.fake_triton import FakeTriton
from tests.ports import free_ports
from tests.stand_ins.aws import Aws
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import QWEN, FakeSpeech, Gateway, Serve, qwen
from tests.unit.gateway.process import running
from tests.unit.gateway.recordings import encoded, tone
from tests.unit.gateway.sound import decode

JOB = {"text": "Good morning.", "speaker_id": "af_kore", "response_format": "wav"}


def text_of(triton: FakeTriton, number: int = 0) -> str:
    text: bytes = triton.calls[number].inputs["text"].item()
    return text.decode()


@pytest.mark.parametrize("form", ["json", "multipart", "urlencoded"])
async def test_a_text_is_spoken_without_a_bucket(gateway: Gateway, triton: FakeTriton, form: str) -> None:
    body: dict[str, Any] = {"json": JOB} if form == "json" else {"data": JOB}
    if form == "multipart":
        body = {"files": {name: (None, value) for name, value in JOB.items()}}
    answer = await gateway.http.post("/zonos/synthesize", **body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav"), answer.text
    assert (answer.headers["x-tritone-model"], len(answer.headers["x-job-id"])) == ("kokoro-82m", 32)
    samples, rate = decode(answer.content, "wav")
    assert len(samples) / rate == pytest.approx(1.2, abs=0.01)
    assert (text_of(triton), triton.calls[0].parameters["voice"]) == ("Good morning.", "af_kore")


async def test_emotions_reach_a_model_that_has_them(serve: Serve, triton: FakeTriton) -> None:
    triton.handlers = {"qwen3-tts-1.7b": FakeSpeech(description=qwen("voice", "instruct", "emotions"))}
    async with serve() as gateway:
        await gateway.follow(triton)
        for emotions in ({"happiness": 0.8, "anger": 0.1}, '{"happiness": 0.8, "anger": 0.1}'):
            answer = await gateway.http.post("/zonos/synthesize", json={"text": "Hello.", "emotions": emotions})
            assert answer.status_code == 200, answer.text
            assert "x-tritone-ignored" not in answer.headers
    assert {call.parameters["emotions"] for call in triton.calls} == {'{"happiness": 0.8, "anger": 0.1}'}


async def test_what_a_model_cannot_follow_is_told(gateway: Gateway) -> None:
    answer = await gateway.http.post("/zonos/synthesize", json={**JOB, "emotions": {"anger": 1}, "pitch_std": 45})
    assert answer.headers["x-tritone-ignored"] == "emotions, pitch_std"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": " "}, "text"),
        ({"text": None}, "text"),
        ({"speaker_id": "bogus"}, "speaker_id"),
        ({"emotions": {"joy": 1}}, "emotions"),
        ({"emotions": {"anger": 2}}, "emotions"),
        ({"job_id": "a/b"}, "job_id"),
        ({"response_format": "midi"}, "response_format"),
    ],
)
async def test_a_wrong_field_is_named(gateway: Gateway, change: dict[str, Any], field: str) -> None:
    answer = await gateway.http.post("/zonos/synthesize", json={**JOB, **change})
    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert answer.json()["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [("{", "application/json", 400), ("[1]", "application/json", 400), ("text", "text/plain", 415)],
)
async def test_an_unreadable_body_is_rejected(gateway: Gateway, content: str, media_type: str, status: int) -> None:
    answer = await gateway.http.post("/zonos/synthesize", content=content, headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["status"]) == (status, "error")


async def test_the_result_is_in_the_bucket_and_its_notice_on_the_queue(
    serve: Serve, aws: Aws, bucket: str, notices: str
) -> None:
    async with serve(s3_bucket_name=bucket, results_prefix="voice", sqs_url=notices) as gateway:
        answer = await gateway.http.post("/zonos/synthesize", json=JOB)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["duration"] == pytest.approx(1.2, abs=0.01)
    assert (result["speaker_id"], result["model"], result["status"]) == ("af_kore", "kokoro-82m", "completed")
    assert result["s3_key"].startswith(f"voice/synthesize/{result['job_id']}/speech-")
    stored = aws.objects(bucket)[result["s3_key"]]
    async with httpx.AsyncClient(trust_env=False, timeout=300) as client:
        signed = await client.get(result["url"])
    assert (signed.content, signed.headers["content-type"]) == (stored, "audio/wav")
    samples, rate = decode(stored, "wav")
    assert len(samples) / rate == pytest.approx(1.2, abs=0.01)
    assert aws.take(notices) == [result]


async def test_the_same_request_again_gets_the_same_result_without_work(
    serve: Serve, triton: FakeTriton, aws: Aws, bucket: str, notices: str
) -> None:
    body = {**JOB, "job_id": "order-7"}
    async with serve(s3_bucket_name=bucket, sqs_url=notices) as gateway:
        first, second = [(await gateway.http.post("/zonos/synthesize", json=body)).json() for _ in range(2)]
        other = await gateway.http.post("/zonos/synthesize", json={**body, "text": "Another."})
    assert first == second
    assert first["job_id"] == "order-7"
    assert len(triton.calls) == 1
    assert other.status_code == 409
    assert "order-7" in other.json()["detail"]
    assert aws.take(notices) == [first, first]


async def test_each_client_has_its_own_jobs(serve: Serve, aws: Aws, bucket: str) -> None:
    body = {**JOB, "job_id": "order-7"}
    async with serve(s3_bucket_name=bucket, api_keys="sk-one,sk-two") as gateway:
        keys = set()
        for key in ("sk-one", "sk-two"):
            answer = await gateway.http.post("/zonos/synthesize", json=body, headers={"x-api-key": key})
            keys.add(answer.json()["s3_key"])
    assert len(keys) == 2


async def test_a_client_that_accepts_audio_gets_it_and_nothing_is_stored(serve: Serve, aws: Aws, bucket: str) -> None:
    async with serve(s3_bucket_name=bucket) as gateway:
        answer = await gateway.http.post("/zonos/synthesize", json=JOB, headers={"accept": "audio/*"})
    assert answer.headers["content-type"] == "audio/wav"
    assert aws.objects(bucket) == {}


async def test_a_bucket_out_of_reach_is_a_503(serve: Serve, aws: Aws) -> None:
    async with serve(s3_bucket_name="no-such-bucket") as gateway:
        answer = await gateway.http.post("/zonos/synthesize", json=JOB)
    assert (answer.status_code, answer.json()["status"]) == (503, "error")
    assert "retry-after" in answer.headers


async def test_the_assistant_answers_in_the_speakers_voice(
    serve: Serve, triton: FakeTriton, aws: Aws, bucket: str, notices: str, llm: LanguageModelServer
) -> None:
    body = {"prompt": "How is the weather?", "category": "news", "writing_style": "formal", "speaker": "af_kore"}
    async with serve(s3_bucket_name=bucket, sqs_url=notices, llm_url=llm.url) as gateway:
        answer = await gateway.http.post("/zonos/assistant", json=body)
    result = answer.json()
    assert (result["text"], result["type"]) == ("Good morning. It is sunny.", "assistant"), answer.text
    assert result["duration"] == pytest.approx(2.4, abs=0.01)
    assert aws.take(notices) == [result]
    assert [text_of(triton, number) for number in range(2)] == ["Good morning.", "It is sunny."]
    system, user = llm.requests[0]["messages"]
    assert "newsreader" in system["content"]
    assert user["content"] == "How is the weather?"


async def test_the_assistant_speaks_before_the_model_has_finished(serve: Serve, llm: LanguageModelServer) -> None:
    llm.gate.clear()
    llm.words = ["Good morning. It", " is sunny."]
    body = {"prompt": "Hello?", "response_format": "pcm"}
    async with (
        serve(llm_url=llm.url) as gateway,
        asyncio.timeout(300),
        gateway.http.stream("POST", "/zonos/assistant", json=body) as answer,
    ):
        assert answer.headers["content-type"] == "audio/pcm"
        pieces = answer.aiter_bytes()
        first = await anext(pieces)
        assert first
        llm.gate.set()
        rest = b"".join([piece async for piece in pieces])
    assert len(first + rest) == round(2 * 2.4 * 24_000)


async def test_a_client_that_leaves_stops_the_language_model(serve: Serve, llm: LanguageModelServer) -> None:
    llm.gate.clear()
    llm.words = ["Good morning. It", " is sunny."]
    async with serve(llm_url=llm.url) as gateway, asyncio.timeout(300):
        async with gateway.http.stream("POST", "/zonos/assistant", json={"prompt": "Hello?"}) as answer:
            await anext(answer.aiter_bytes())
        await llm.left.wait()


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"status": 401}, 502, "LLM_API_KEY"),
        ({"status": 429}, 503, "too much to do"),
        ({"status": 500}, 502, "status 500"),
        ({"words": [" "]}, 502, "nothing to speak"),
        ({"choices": [{"delta": {"refusal": "I cannot."}}]}, 400, "refused: I cannot."),
        ({"choices": [{"delta": {}, "finish_reason": "content_filter"}]}, 400, "filter"),
    ],
)
async def test_a_failure_of_the_language_model_is_told(
    serve: Serve, llm: LanguageModelServer, change: dict[str, Any], status: int, reason: str
) -> None:
    vars(llm).update(change)
    async with serve(llm_url=llm.url) as gateway:
        answer = await gateway.http.post("/zonos/assistant", json={"prompt": "Hello?"})
    assert answer.status_code == status
    assert reason in answer.json()["detail"]


async def test_an_assistant_without_a_language_model_is_a_501(gateway: Gateway) -> None:
    answer = await gateway.http.post("/zonos/assistant", json={"prompt": "Hello?"})
    assert answer.status_code == 501
    assert "LLM_URL" in answer.json()["detail"]


@pytest.fixture
def cloning(triton: FakeTriton) -> FakeTriton:
    """A Triton with a model that clones voices."""
    triton.handlers = {"qwen3-tts-0.6b-clone": FakeSpeech(description=QWEN["qwen3-tts-0.6b-clone"])}
    return triton


RECORDING = encoded(tone(2), "wav", "pcm_s16le")
SPEAKER = {"speaker_id": "narrator", "text": "Good morning."}


async def test_a_registered_speaker_speaks(serve: Serve, cloning: FakeTriton, tmp_path: Path) -> None:
    async with serve(voices_dir=tmp_path, voices_need_consent=False) as gateway:
        await gateway.follow(cloning)
        answer = await gateway.http.post(
            "/zonos/register_speaker", data=SPEAKER, files={"file": ("speaker.wav", RECORDING)}
        )
        assert answer.status_code == 200, answer.text
        registered = answer.json()
        assert (registered["speaker_id"], registered["text"]) == ("narrator", "Good morning.")
        assert registered["duration"] == pytest.approx(2, abs=0.3)
        spoken = await gateway.http.post("/zonos/synthesize", json={"text": "Hello.", "speaker_id": "narrator"})
        assert spoken.status_code == 200, spoken.text
        again = await gateway.http.post(
            "/zonos/register_speaker", json={**SPEAKER, "audio": base64.b64encode(RECORDING).decode()}
        )
    assert any(call.parameters.get("ref_text") == "Good morning." for call in cloning.calls), cloning.calls
    assert again.status_code == 409
    assert again.json()["detail"].startswith("speaker_id: you have a voice 'narrator' already")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"file": None}, "file"),
        ({"file": "no base64!"}, "file"),
        ({"file": base64.b64encode(b"no audio").decode()}, "file"),
        ({"speaker_id": " "}, "speaker_id"),
        ({"file": None, "s3_key": "a.wav"}, "s3_key"),
    ],
)
async def test_a_wrong_field_of_a_registration_is_named(
    serve: Serve, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    body = {**SPEAKER, "file": base64.b64encode(RECORDING).decode(), **change}
    async with serve(voices_dir=tmp_path, voices_need_consent=False) as gateway:
        answer = await gateway.http.post("/zonos/register_speaker", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"].startswith(f"{field}: ")


async def test_a_registration_is_recorded_and_told_once(
    serve: Serve, cloning: FakeTriton, aws: Aws, bucket: str, notices: str, tmp_path: Path
) -> None:
    settings = {"voices_dir": tmp_path, "voices_need_consent": False, "s3_bucket_name": bucket, "sqs_url": notices}
    body = {**SPEAKER, "job_id": "order-8", "file": base64.b64encode(RECORDING).decode()}
    async with serve(**settings) as gateway:
        await gateway.follow(cloning)
        first, second = [(await gateway.http.post("/zonos/register_speaker", json=body)).json() for _ in range(2)]
    assert first == second
    assert first["voice_id"].startswith("voice_")
    assert aws.take(notices) == [first, first]


async def test_a_message_with_a_recording_in_the_bucket_registers_a_speaker_once(
    serve: Serve, cloning: FakeTriton, aws: Aws, bucket: str, notices: str, tmp_path: Path
) -> None:
    aws.s3.put_object(Bucket=bucket, Key="in/speaker.wav", Body=RECORDING)
    settings = {"voices_dir": tmp_path, "voices_need_consent": False, "s3_bucket_name": bucket, "sqs_url": notices}
    message = Message("m1", json.dumps({**SPEAKER, "s3_key": "in/speaker.wav"}), "receipt", 1, time.time())
    async with serve(**settings) as gateway:
        await gateway.follow(cloning)
        assert gateway.services.delivery
        handler = JobMessages(gateway.services, gateway.services.delivery, "register")
        await handler.act(message)
        # As if its worker had died between the registration and the record.
        aws.s3.delete_object(Bucket=bucket, Key="register/m1/result.json")
        await handler.act(replace(message, receives=2))
        with pytest.raises(JobFailed, match="speaker_id: you have a voice 'narrator' already"):
            await handler.act(replace(message, id="m2"))
    first, second = aws.take(notices)
    assert first == second
    assert (first["job_id"], first["speaker_id"], first["type"]) == ("m1", "narrator", "register")


async def test_health_tells_what_there_is(serve: Serve, aws: Aws, bucket: str, llm: LanguageModelServer) -> None:
    async with serve(api_keys="sk-one") as gateway:
        assert (await gateway.http.get("/zonos/health")).json() == {
            "status": "ok",
            "model": "kokoro-82m",
            "model_loaded": True,
            "storage": "none",
            "language_model": False,
        }
        denied = await gateway.http.post("/zonos/synthesize", json=JOB)
        assert (denied.status_code, denied.json()["status"]) == (401, "error")
    async with serve(s3_bucket_name=bucket, llm_url=llm.url) as gateway:
        health = (await gateway.http.get("/zonos/health")).json()
    assert (health["storage"], health["language_model"]) == ("s3", True)


async def test_the_earlier_settings_and_port_are_read(
    triton: FakeTriton, aws: Aws, bucket: str, notices: str, llm: LanguageModelServer, tmp_path: Any
) -> None:
    del triton.handlers["whisper-base"]
    await triton.publish()
    (port,) = free_ports(1)
    settings = {
        "SURFACE_PORTS": f"zonos={port}",
        "AWS_BUCKET_NAME": bucket,
        "SQS_URL": notices,
        "OPENAI_BASE_URL": llm.url,
        "OPENAI_API_KEY": "sk-llm",
        **aws.variables,
    }
    async with running(triton.address, tmp_path, **settings), httpx.AsyncClient(trust_env=False, timeout=300) as client:
        answer = await client.post(f"http://127.0.0.1:{port}/assistant", json={"prompt": "Hello?"})
    assert answer.status_code == 200, answer.text
    assert aws.take(notices) == [answer.json()]
    assert llm.keys == ["Bearer sk-llm"]
    record = json.loads(aws.objects(bucket)[f"assistant/{answer.json()['job_id']}/result.json"])
    assert "request" in record
