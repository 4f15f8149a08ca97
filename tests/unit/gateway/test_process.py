"""`python -m gateway` as a process: it logs JSON lines, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets

from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import FakeSpeech
from tests.unit.gateway.process import ROOT, running, started, until


async def without_transcription(triton: FakeTriton) -> None:
    """Leave out the model for which a gateway needs the detector's weights."""
    del triton.handlers["whisper-base"]
    await triton.publish()


@pytest.fixture
async def process(triton: FakeTriton, tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    await without_transcription(triton)
    async with running(triton.address, tmp_path) as started:
        yield started


EVENTS = {"model": "tts-1", "input": "Hello.", "response_format": "pcm", "stream_format": "sse"}


@pytest.fixture
async def hasty(triton: FakeTriton, tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A gateway that does not wait for open requests."""
    await without_transcription(triton)
    async with running(triton.address, tmp_path, DRAIN_TIMEOUT="0") as started:
        yield started


async def test_a_stream_that_outlasts_the_drain_ends_with_an_error(
    hasty: tuple[asyncio.subprocess.Process, str], kokoro: FakeSpeech
) -> None:
    process, url = hasty
    first = asyncio.Event()
    first.set()
    kokoro.gates = [first, asyncio.Event()]
    async with (
        httpx.AsyncClient(base_url=url, timeout=300) as client,
        client.stream("POST", "/v1/audio/speech", json=EVENTS) as answer,
    ):
        lines = answer.aiter_lines()
        assert "speech.audio.delta" in await anext(lines)
        process.send_signal(signal.SIGTERM)
        end = json.loads([line async for line in lines if line][-1].removeprefix("data: "))
    assert end["error"]["code"] == "unavailable"
    assert process.stderr
    assert "Traceback" not in (await asyncio.wait_for(process.stderr.read(), 300)).decode()


async def test_a_request_that_outlasts_the_drain_before_its_answer_is_a_503(
    hasty: tuple[asyncio.subprocess.Process, str], triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    process, url = hasty
    called = asyncio.Event()

    async def silent(call: Call) -> AsyncIterator[Tensors]:
        called.set()
        await asyncio.Event().wait()
        async for tensors in kokoro(call):
            yield tensors

    triton.handlers["kokoro-82m"] = silent
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        request = asyncio.create_task(client.post("/v1/audio/speech", json=EVENTS))
        await asyncio.wait_for(called.wait(), 300)
        process.send_signal(signal.SIGTERM)
        answer = await asyncio.wait_for(request, 300)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_sigterm_lets_the_open_request_finish(
    process: tuple[asyncio.subprocess.Process, str], kokoro: FakeSpeech
) -> None:
    running, url = process
    first, second = asyncio.Event(), asyncio.Event()
    first.set()
    kokoro.gates = [first, second]
    body = {"model": "tts-1", "input": "Hello.", "response_format": "pcm"}
    async with (
        httpx.AsyncClient(base_url=url, timeout=300) as client,
        client.stream("POST", "/v1/audio/speech", json=body) as answer,
    ):
        pieces = answer.aiter_bytes()
        received = len(await anext(pieces))
        running.send_signal(signal.SIGTERM)
        await until(False, running, url)
        second.set()
        received += sum([len(piece) async for piece in pieces])
    assert received == 2 * sum(map(len, kokoro.chunks))
    assert running.stderr
    lines = [json.loads(line) for line in (await asyncio.wait_for(running.stderr.read(), 300)).decode().splitlines()]
    # Neither the probes nor uvicorn's own lines.
    assert [line["path"] for line in lines if line["logger"] == "gateway.telemetry"] == ["/v1/audio/speech"]
    assert {line["logger"].partition(".")[0] for line in lines} == {"gateway"}
    assert await asyncio.wait_for(running.wait(), 300) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_stop_ends_the_gateway_with_status_0(
    process: tuple[asyncio.subprocess.Process, str], number: signal.Signals
) -> None:
    running, url = process
    running.send_signal(number)
    assert running.stderr
    first, *lines = (await asyncio.wait_for(running.stderr.read(), 300)).decode().splitlines()
    assert json.loads(first)["message"].startswith(f"starting on 127.0.0.1, port {url.rpartition(':')[2]}; Triton: ")
    assert {json.loads(line)["level"] for line in lines} == {"info"}
    assert await asyncio.wait_for(running.wait(), 300) == 0


async def test_a_refused_websocket_is_no_error_in_the_log(process: tuple[asyncio.subprocess.Process, str]) -> None:
    running_process, url = process
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"{url.replace('http', 'ws', 1)}/v1/nowhere", open_timeout=300)
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["error"]["code"] == "not_found"
    running_process.send_signal(signal.SIGTERM)
    assert running_process.stderr
    lines = (await asyncio.wait_for(running_process.stderr.read(), 300)).decode().splitlines()
    assert not [line for line in lines if json.loads(line)["level"] == "error"]


async def test_a_gateway_may_hold_more_connections_than_the_shells_limit_of_files(
    process: tuple[asyncio.subprocess.Process, str],
) -> None:
    running, _ = process
    soft, _ = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))


async def test_a_held_gateway_refuses_connections_until_its_input_ends(triton: FakeTriton, tmp_path: Path) -> None:
    await without_transcription(triton)
    async with started(triton.address, tmp_path, "--hold") as (process, url):
        assert process.stderr
        assert process.stdin
        assert b"starting on 127.0.0.1" in await asyncio.wait_for(process.stderr.readline(), 300)
        async with httpx.AsyncClient(base_url=url) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("/health", timeout=300)
        process.stdin.close()
        await until(True, process, url, "/ready")


async def test_a_signal_to_stop_ends_a_held_gateway(triton: FakeTriton, tmp_path: Path) -> None:
    async with started(triton.address, tmp_path, "--hold") as (process, _):
        assert process.stderr
        assert b"starting on 127.0.0.1" in await asyncio.wait_for(process.stderr.readline(), 300)
        ended = asyncio.create_task(process.wait())
        async with asyncio.timeout(300):
            while not ended.done():  # the first signal may come just before the wait
                process.send_signal(signal.SIGTERM)
                await asyncio.wait((ended,), timeout=0.5)
        assert await ended in {0, -signal.SIGTERM}  # the latter if another signal came during its exit


async def test_a_worker_names_the_folder_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.jobs"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TRITON_GRPC_URL": "127.0.0.1:1", "JOBS_DIR": "file/jobs"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 300)
    assert process.returncode == 2
    last = said.decode().splitlines()[-1]
    assert last.startswith(f"jobs: wrong setting JOBS_DIR: user {os.geteuid()} cannot write file/jobs: ")


async def test_an_idle_gateway_has_no_libraries_of_jobs_voices_and_hearing(triton: FakeTriton, tmp_path: Path) -> None:
    await without_transcription(triton)
    async with running(triton.address, tmp_path, JOBS="true") as (process, _):
        mapped = await asyncio.to_thread(Path(f"/proc/{process.pid}/maps").read_text)
    assert "pydantic_core" in mapped
    assert not [name for name in ("onnxruntime", "kaldi", "obstore", "sqlalchemy", "psycopg") if name in mapped]
