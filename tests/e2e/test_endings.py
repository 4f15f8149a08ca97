"""The end of speech requests over HTTP, on real models: headers, last event, freed slot."""

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

from tests.conftest import MODEL_DIR
from tests.e2e.server import Server
from tests.unit.gateway.process import running

SPEECH = "/v1/audio/speech"
DEADLINE = 300
MODEL = "qwen3-tts-0.6b"
LONG: dict[str, Any] = {"model": MODEL, "input": "Ships came and went. " * 100, "temperature": 0}
"""About twenty seconds of speech from the random checkpoint; computed in one second, without other requests."""
CAPACITY = 20
"""Requests that the engine accepts on a CPU: four slots, and sixteen that wait."""


def test_headers_of_a_whole_response_report_its_frame_limit(qwen: Server) -> None:
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
def test_headers_of_a_whole_response_report_its_complete_audio(client: openai.OpenAI, kind: Any) -> None:
    answer = client.audio.speech.with_raw_response.create(
        model="kokoro-82m", voice="af_heart", input="Good morning.", response_format=kind, extra_body={"stream": False}
    )
    with soundfile.SoundFile(io.BytesIO(answer.parse().content)) as file:
        seconds = file.frames / file.samplerate
    assert answer.headers["x-finish-reason"] == "stop"
    assert float(answer.headers["x-audio-duration"]) == pytest.approx(seconds, abs=0.05)


async def test_full_model_rejects_requests_with_the_seconds_to_wait(qwen: Server) -> None:
    async with httpx.AsyncClient(base_url=qwen.url, timeout=DEADLINE) as client:
        answers = await asyncio.gather(*(client.post(SPEECH, json=LONG) for _ in range(2 * CAPACITY)))
    rejected = [answer for answer in answers if answer.status_code == 503]
    assert rejected
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in rejected)


async def test_deadline_ends_a_stream_with_an_error_event_and_frees_its_slot(qwen: Server, tmp_path: Path) -> None:
    before = unfinished(qwen)
    async with (
        running(qwen.grpc, tmp_path, REQUEST_TIMEOUT="0.4", CALLER_SHARE="1", MODEL_DIR=str(MODEL_DIR)) as (_, url),
        httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client,
    ):
        body = {**LONG, "stream_format": "sse", "response_format": "pcm"}
        answers = await asyncio.gather(*(client.post(SPEECH, json=body) for _ in range(CAPACITY)))
    ends = [last_event(answer) for answer in answers]
    errors = [end["error"] for end in ends if "error" in end]
    assert errors, "the model synthesized more than it can within the deadline"
    assert {error["code"] for error in errors} <= {"timeout", "unavailable"}
    deadline = time.monotonic() + DEADLINE
    while unfinished(qwen) == before:
        assert time.monotonic() < deadline, "the model continued requests past their deadline"
        await asyncio.sleep(0.1)
    async with httpx.AsyncClient(base_url=qwen.url, timeout=DEADLINE) as client:
        short = {**LONG, "max_new_tokens": 4}
        answers = await asyncio.gather(*(client.post(SPEECH, json=short) for _ in range(CAPACITY)))
    assert {answer.status_code for answer in answers} == {200}


def last_event(answer: httpx.Response) -> dict[str, Any]:
    """Return the last event of a response, or its error body."""
    event: dict[str, Any] = json.loads(answer.text.strip().rpartition("\n")[2].removeprefix("data: "))
    return event


def unfinished(server: Server) -> float:
    """Return the number of requests that the model ended early: past their deadline, cancelled or rejected."""
    reasons = ("cancelled", "deadline", "overloaded")
    counters = [f'tritone_errors_total{{model="{MODEL}",reason="{reason}"}}' for reason in reasons]
    return sum(value for name, value in server.metrics().items() if name in counters)
