"""Connections: headers and bodies that are slow or large, clients that do not read, and uploads on disk."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.transport import ConnectionLimits
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve, tone
from tests.unit.gateway.process import running
from tests.unit.gateway.test_process import without_transcription
from tritone.contract import SPEECH_RATE

SPEECH = "/v1/audio/speech"
HELLO = {"model": "tts-1", "input": "Hello there.", "response_format": "pcm"}
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Streams]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def post(content_type: str, length: int, body: bytes = b"", path: str = SPEECH) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    return head.encode() + body


async def error_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """Return the status and the error of a response, also while the client is still sending."""
    async with asyncio.timeout(300):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.splitlines() if line.startswith(b"content-length:"))
        body = await reader.readexactly(int(length.split()[1]))
    return int(head.split()[1]), json.loads(body)["error"]


async def test_a_header_without_end_is_a_431(gateway: Gateway) -> None:
    async with connection(gateway.url) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: ")
        reading = asyncio.create_task(error_of(reader))
        with suppress(ConnectionError):  # the server has hung up
            while not reading.done():
                writer.write(b"a" * 65536)
                await writer.drain()
        status, error = await reading
    assert (status, error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("size", [300, 400])
async def test_many_headers_are_counted_together(gateway: Gateway, size: int) -> None:
    headers = b"".join(b"x-%d: %b\r\n" % (number, b"a" * size) for number in range(200))
    async with connection(gateway.url) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + headers + b"\r\n")
        status = (await asyncio.wait_for(reader.readline(), 300)).split()[1]
    assert status == (b"200" if size == 300 else b"431")


async def test_a_request_that_is_not_http_has_openais_envelope(gateway: Gateway) -> None:
    async with connection(gateway.url) as (reader, writer):
        writer.write(b"hello\r\n\r\n")
        status, error = await error_of(reader)
    assert (status, error["type"]) == (400, "invalid_request_error")


async def test_headers_that_come_slowly_are_a_408(serve: Serve) -> None:
    async with (
        serve(limits=ConnectionLimits(header_seconds=1)) as gateway,
        connection(gateway.url) as (reader, writer),
    ):
        writer.write(b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\n")
        reading = asyncio.create_task(error_of(reader))
        while not reading.done():
            writer.write(b"x-a: b\r\n")
            await asyncio.wait({reading}, timeout=0.02)
        status, error = await reading
    assert (status, error["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("sent", [b"", b"\r\n" * 10, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n\r\n"])
async def test_a_connection_without_a_request_is_closed(serve: Serve, sent: bytes) -> None:
    async with (
        serve(limits=ConnectionLimits(header_seconds=1), keep_alive=1) as gateway,
        connection(gateway.url) as (reader, writer),
    ):
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(), 300)
    assert received.count(b"HTTP/1.1 200") == sent.count(b"GET")


async def test_a_connection_serves_one_request_after_the_other(gateway: Gateway) -> None:
    request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    async with connection(gateway.url) as (reader, writer):
        writer.write(request + request[:10])
        assert b"200" in await asyncio.wait_for(reader.readline(), 300)
        writer.write(request[10:-2] + b"connection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 300)).count(b"HTTP/1.1 200") == 1


async def test_a_body_that_comes_slowly_is_a_408(serve: Serve, triton: FakeTriton) -> None:
    async with serve(body_timeout=0.2) as gateway, connection(gateway.url) as (reader, writer):
        writer.write(post("application/json", 10_000, b"{"))
        reading = asyncio.create_task(error_of(reader))
        while not reading.done():
            writer.write(b" ")
            await asyncio.wait({reading}, timeout=0.02)
        status, error = await reading
    assert (status, error["code"]) == (408, "request_timeout")
    assert not triton.calls


async def test_a_body_without_files_has_a_limit_of_its_own(serve: Serve) -> None:
    async with serve(max_json_bytes=1000) as gateway:
        assert (await gateway.http.post(SPEECH, json={**HELLO, "x": "y" * 1000})).status_code == 413
        assert (await upload(gateway, 20_000)).status_code == 400  # it is no audio


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/audio/transcriptions", "prompt"),
        ("/v1/audio/voices", "name"),
        ("/v1/audio/diarization", "prompt"),
        ("/whisper/transcribe-and-process", "instruction"),
        ("/omni/transcribe/json", "language"),
        ("/zonos/register_speaker", "name"),
    ],
)
async def test_the_texts_of_a_form_have_the_limit_of_a_body_in_memory(serve: Serve, path: str, field: str) -> None:
    async with serve(max_json_bytes=1000) as gateway:
        files = {"file": ("a.wav", b"x" * 20_000)}
        response = await gateway.http.post(path, files=files, data={"model": "m" * 500, field: "y" * 600})
    assert response.status_code == 413
    assert f"{field}: the text in the form is over 1000 bytes" in response.text


async def test_texts_of_forms_that_are_over_leave_their_memory_to_others(serve: Serve) -> None:
    async with serve(max_json_bytes=1000) as gateway:
        for _ in range(10):
            assert (await upload(gateway, 20_000, prompt="y" * 900)).status_code == 400  # it is no audio


async def test_texts_of_forms_and_bodies_in_memory_are_bounded_together(serve: Serve) -> None:
    text = b'--b\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n' + b"y" * 990
    async with serve(max_json_bytes=1000) as gateway:
        held = [await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":")) for _ in range(8)]
        for _, writer in held:
            kind = "multipart/form-data; boundary=b"
            writer.write(post(kind, 20_000, text, path="/v1/audio/transcriptions"))
        async with asyncio.timeout(300):
            while (await gateway.http.post(SPEECH, json={**HELLO, "x": "y" * 500})).status_code != 503:
                pass
        for _, writer in held:
            writer.close()


async def upload(gateway: Gateway, size: int, **fields: str) -> httpx.Response:
    files = {"file": ("a.wav", b"x" * size)}
    return await gateway.http.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1", **fields})


async def test_bodies_in_memory_are_bounded_together(serve: Serve) -> None:
    async with serve(max_json_bytes=1000) as gateway:
        held = [await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":")) for _ in range(8)]
        for _, writer in held:
            writer.write(post("application/json", 1000, b" " * 999))
        async with asyncio.timeout(300):
            while (await gateway.http.post(SPEECH, json=HELLO)).status_code != 503:
                pass
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(300):
            while (await gateway.http.post(SPEECH, json=HELLO)).status_code != 200:
                pass


class EndlessSpeech(FakeSpeech):
    """Speech as fast as it is taken; `sent` counts the chunks."""

    sent = 0

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        while call.inputs["text"].item() == b"Endless.":
            yield self._audio(tone(0.5))
            self.sent += 1
        async for tensors in FakeSpeech.__call__(self, call):
            yield tensors


def never_reading(gateway: Gateway) -> socket.socket:
    """Return a connection that asked for endless speech, with a small buffer for it."""
    return request_with_small_buffer(gateway.url, json.dumps({**HELLO, "input": "Endless."}).encode())


def request_with_small_buffer(url: str, body: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = url.removeprefix("http://").split(":")
    client.connect((host, int(port)))
    client.sendall(post("application/json", len(body), body))
    return client


async def test_the_speech_of_a_client_that_does_not_read_waits_at_the_model(
    gateway: Gateway, triton: FakeTriton
) -> None:
    triton.handlers["kokoro-82m"] = speech = EndlessSpeech()
    with never_reading(gateway):
        async with asyncio.timeout(300):
            while not speech.sent:
                assert (await gateway.http.get("/health")).status_code == 200
        for _ in range(50):  # while others are served
            assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 200
        assert speech.sent * len(tone(0.5)) * 2 < 4e6
    await asyncio.wait_for(triton.calls[0].cancelled.wait(), 300)


async def test_a_client_that_stops_reading_is_cut_off(serve: Serve, triton: FakeTriton) -> None:
    triton.handlers["kokoro-82m"] = EndlessSpeech()
    async with serve(limits=ConnectionLimits(send_seconds=0.5)) as gateway:
        with never_reading(gateway) as client:
            async with asyncio.timeout(300):
                while not triton.calls:
                    await gateway.http.get("/health")
                await triton.calls[0].cancelled.wait()
            with suppress(ConnectionError):  # the server has hung up
                while True:
                    client.send(b"x")
                    await gateway.http.get("/health")


async def test_an_upload_beyond_the_disk_is_a_507(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    answer = await upload(gateway, 2**21)
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_full")
    assert int(answer.headers["retry-after"]) > 0


async def test_an_upload_lies_in_upload_dir_until_its_client_leaves(triton: FakeTriton, tmp_path: Path) -> None:
    await without_transcription(triton)
    folder = tmp_path / "uploads"
    folder.mkdir()
    part = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    async with running(triton.address, tmp_path, UPLOAD_DIR=str(folder)) as (process, url):
        async with connection(url) as (_, writer):
            head = post("multipart/form-data; boundary=b", 10**8, part, "/v1/audio/transcriptions")
            writer.write(head + b"x" * 2**22)
            await open_files(process.pid, folder, 1)
        await open_files(process.pid, folder, 0)
    assert not list(folder.iterdir())


async def test_a_whole_response_waits_on_disk_for_its_client(triton: FakeTriton, tmp_path: Path) -> None:
    await without_transcription(triton)
    folder = tmp_path / "responses"
    folder.mkdir()
    triton.handlers["kokoro-82m"] = FakeSpeech(chunks=[tone(60)] * 5)
    body = json.dumps({**HELLO, "stream": False}).encode()
    async with running(triton.address, tmp_path, UPLOAD_DIR=str(folder)) as (process, url):
        client = await asyncio.to_thread(request_with_small_buffer, url, body)
        with client:
            await open_files(process.pid, folder, 1)
            received = await asyncio.to_thread(read_response, client)
        assert len(received) == 5 * 60 * SPEECH_RATE * 2
        await open_files(process.pid, folder, 0)


def read_response(client: socket.socket) -> bytes:
    with client.makefile("rb") as file:
        length = 0
        while (line := file.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.split()[1])
        return file.read(length)


async def open_files(pid: int, folder: Path, count: int) -> None:
    """Wait until the process has so many open files in `folder`."""
    async with asyncio.timeout(300):
        while sum(name.startswith(str(folder)) for name in names_of_files(pid)) != count:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)


def names_of_files(pid: int) -> list[str]:
    return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
