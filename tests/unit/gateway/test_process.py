"""`python -m gateway` as a process: it says what it does in JSON lines, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech
from tests.unit.gateway.process import running, until


@pytest.fixture
async def process(triton: FakeTriton, tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    async with running(triton.address, tmp_path, STT_MODELS="none") as started:
        yield started


async def test_sigterm_lets_the_open_request_finish(
    process: tuple[asyncio.subprocess.Process, str], kokoro: FakeSpeech
) -> None:
    running, url = process
    first, second = asyncio.Event(), asyncio.Event()
    first.set()
    kokoro.gates = [first, second]
    body = {"model": "tts-1", "input": "Hello.", "response_format": "pcm"}
    async with (
        httpx.AsyncClient(base_url=url) as client,
        client.stream("POST", "/v1/audio/speech", json=body) as answer,
    ):
        pieces = answer.aiter_bytes()
        heard = len(await anext(pieces))
        running.send_signal(signal.SIGTERM)
        await until(False, running, url)
        second.set()
        heard += sum([len(piece) async for piece in pieces])
    assert heard == 2 * sum(map(len, kokoro.chunks))
    assert running.stderr
    told = (await asyncio.wait_for(running.stderr.read(), 20)).decode()
    # Neither the probes nor what the server below says of itself.
    assert [json.loads(line)["path"] for line in told.splitlines()] == ["/v1/audio/speech"]
    await asyncio.wait_for(running.wait(), 10)
