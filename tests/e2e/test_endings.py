"""How a speech request ends over HTTP, on the real models: its headers, its last event, the place that comes free."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import soundfile

from tests.e2e.server import Server
from tests.unit.gateway.process import running

SPEECH = "/v1/audio/speech"
DEADLINE = 120
MODEL = "qwen3-tts-0.6b"
LONG: dict[str, Any] = {"model": MODEL, "input": "Ships came and went. " * 100, "temperature": 0}
"""What the random checkpoint speaks for twenty seconds, and takes one for where nothing else is spoken."""
PLACES = 20
"""On a CPU four are spoken at once, and sixteen wait."""


def test_qwen_tells_in_headers_that_a_whole_answer_was_cut(qwen: Server) -> None:
    with openai.OpenAI(base_url=f"{qwen.url}/v1", api_key="unused", max_retries=0) as client:
        answer = client.audio.speech.with_raw_response.create(
            model=MODEL,
            voice="Vivian",
            input=LONG["input"],
            response_format="wav",
            extra_body={"stream": False, "temperature": 0, "max_new_tokens": 9},
        )
    audio = answer.parse().content
    assert answer.headers["x-finish-reason"] == "length"
    assert answer.headers["x-completion-tokens"] == "8"
    assert answer.headers["x-audio-duration"] == "0.640"
    assert float(answer.headers["x-engine-time"]) > 0
    assert int(answer.headers["content-length"]) == len(audio)
    assert soundfile.info(io.BytesIO(audio)).frames == 8 * 1920


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_kokoro_tells_in_headers_that_a_whole_answer_is_whole(client: openai.OpenAI, kind: Any) -> None:
    answer = client.audio.speech.with_raw_response.create(
        model="kokoro-82m", voice="af_heart", input="Good morning.", response_format=kind, extra_body={"stream": False}
    )
    with soundfile.SoundFile(io.BytesIO(answer.parse().content)) as file:
        seconds = file.frames / file.samplerate
    assert answer.headers["x-finish-reason"] == "stop"
    assert float(answer.headers["x-audio-duration"]) == pytest.approx(seconds, abs=0.05)


async def test_a_full_model_says_after_how_long_to_try_again(qwen: Server) -> None:
    async with httpx.AsyncClient(base_url=qwen.url, timeout=DEADLINE) as client:
        answers = await asyncio.gather(*(client.post(SPEECH, json=LONG) for _ in range(2 * PLACES)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


async def test_a_deadline_ends_a_stream_with_an_error_and_frees_its_place(qwen: Server, tmp_path: Path) -> None:
    chosen = {"MODEL_TYPE": "0.6b", "TTS_MODES": "custom_voice", "STT_MODELS": "none"}
    before = given_up(qwen)
    async with (
        running(qwen.grpc, tmp_path, **chosen, REQUEST_TIMEOUT="2") as (_, url),
        httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client,
    ):
        body = {**LONG, "stream_format": "sse", "response_format": "pcm"}
        answers = await asyncio.gather(*(client.post(SPEECH, json=body) for _ in range(PLACES)))
    ends = [last_event(answer) for answer in answers]
    late = [end for end in ends if "error" in end]
    assert late, "so many such streams take the model far longer than the seconds that they have"
    assert {end["error"]["code"] for end in late} <= {"timeout", "unavailable"}
    deadline = time.monotonic() + DEADLINE
    while given_up(qwen) == before:
        assert time.monotonic() < deadline, "the model went on with what nobody waits for"
        await asyncio.sleep(0.1)
    async with httpx.AsyncClient(base_url=qwen.url, timeout=DEADLINE) as client:
        short = {**LONG, "max_new_tokens": 4}
        answers = await asyncio.gather(*(client.post(SPEECH, json=short) for _ in range(PLACES)))
    assert {answer.status_code for answer in answers} == {200}


def last_event(answer: httpx.Response) -> dict[str, Any]:
    """What an answer ended with: its last event, or the error that it was from the start."""
    event: dict[str, Any] = json.loads(answer.text.strip().rpartition("\n")[2].removeprefix("data: "))
    return event


def given_up(server: Server) -> float:
    """How many requests the model did not finish, because they had become too late or had left."""
    errors = ("cancelled", "deadline", "overloaded")
    named = [f'tritone_errors_total{{model="{MODEL}",reason="{reason}"}}' for reason in errors]
    return sum(value for name, value in server.metrics().items() if name in named)
