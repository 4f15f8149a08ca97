"""`python -m gateway` as a process: it says what it does in JSON lines, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech

ROOT = Path(__file__).resolve().parents[3]


async def listens(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{url}/health")).is_success
    except httpx.TransportError:
        return False


async def until(listening: bool, process: asyncio.subprocess.Process, url: str) -> None:
    async with asyncio.timeout(60):
        while await listens(url) is not listening:
            assert process.returncode is None
            await asyncio.sleep(0.05)


@pytest.fixture
async def process(triton: FakeTriton, tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "PYTHONPATH": str(ROOT),
        "API_PORT": str(port),
        "TRITON_GRPC_URL": triton.address,
        "STT_MODELS": "none",
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway"),
        cwd=tmp_path,
        env={**os.environ, **settings},
        stderr=asyncio.subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await until(True, started, url)
        yield started, url
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


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
