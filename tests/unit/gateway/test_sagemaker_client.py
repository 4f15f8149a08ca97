"""boto3's SageMaker client, unchanged, against the gateway behind a stand-in for the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.fake_triton import FakeTriton
from tests.stand_ins.sagemaker import sagemaker_runtime
from tests.unit.gateway.conftest import FakeSpeech, Gateway
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.sound import decode
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tritone.errors import Overloaded

HELLO = json.dumps({"input": "Hello there.", "voice": "af_heart", "response_format": "wav"})


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    with sagemaker_runtime(gateway.url) as url:
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=300, read_timeout=300),
        )
        yield client
        client.close()


async def invoke(client: Any, **request: Any) -> dict[str, Any]:
    def call() -> dict[str, Any]:
        answer: dict[str, Any] = client.invoke_endpoint(EndpointName="speech", **request)
        with closing(answer["Body"]) as body:
            return {**answer, "Body": body.read()}

    return await asyncio.to_thread(call)


async def test_invoke_endpoint_returns_speech(client: Any) -> None:
    answer = await invoke(client, ContentType="application/json", Body=HELLO)
    assert answer["ContentType"] == "audio/wav"
    assert answer["CustomAttributes"] == "model=kokoro-82m"
    samples, rate = decode(answer["Body"], "wav")
    assert len(samples) / rate == pytest.approx(1.2, abs=0.01)


async def test_invoke_endpoint_returns_the_transcript_of_a_recording(client: Any, triton: FakeTriton) -> None:
    triton.handlers["whisper-base"] = whisper = FakeWhisper()
    answer = await invoke(
        client,
        ContentType="audio/flac",
        Accept="text/vtt",
        CustomAttributes="language=ko",
        Body=encoded(parts(1), "flac", "flac"),
    )
    assert answer["ContentType"].startswith("text/vtt")
    assert answer["Body"].decode().endswith("part 0\n\n")
    assert whisper.calls[0].parameters["language"] == "ko"


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [({"voice": "bogus"}, 400, "voice: kokoro-82m has no voice"), ({"model": "bogus"}, 404, "no speech model")],
)
async def test_a_model_error_holds_the_status_and_the_reason(
    client: Any, fields: dict[str, Any], status: int, message: str
) -> None:
    body = json.dumps({"input": "Hello.", **fields})
    with pytest.raises(ClientError) as caught:
        await invoke(client, ContentType="application/json", Body=body)
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == status
    assert json.loads(caught.value.response["OriginalMessage"])["error"]["message"].startswith(message)


async def test_a_response_stream_begins_before_the_speech_is_complete(client: Any, kokoro: FakeSpeech) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    first.set()
    kokoro.gates = [first, second]
    received: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> str:
        answer = client.invoke_endpoint_with_response_stream(
            EndpointName="speech", ContentType="application/json", Accept="audio/pcm", Body='{"input": "Hello."}'
        )
        with closing(answer["Body"]) as events:
            for event in events:
                loop.call_soon_threadsafe(received.put_nowait, event["PayloadPart"]["Bytes"])
        loop.call_soon_threadsafe(received.put_nowait, None)
        return str(answer["ContentType"])

    reading = asyncio.create_task(asyncio.to_thread(read))
    async with asyncio.timeout(300):
        audio = await received.get()
        assert audio, "the first part arrived while the model waits"
        second.set()
        while piece := await received.get():
            audio += piece
        assert await reading == "audio/pcm"
    assert len(audio) / 2 == sum(map(len, kokoro.chunks))


async def test_a_failure_in_mid_stream_is_an_error_of_the_stream(client: Any, kokoro: FakeSpeech) -> None:
    kokoro.failure = Overloaded("64 requests", 7)

    def read() -> list[Any]:
        answer = client.invoke_endpoint_with_response_stream(
            EndpointName="speech", ContentType="application/json", Body=HELLO
        )
        with closing(answer["Body"]) as events:
            return list(events)

    with pytest.raises(EventStreamError, match="ModelStreamError"):
        await asyncio.to_thread(read)
