"""The middleware: the form of errors, API keys, admission, limits on the body, CORS, request ids and logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import numpy as np
import openai
import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FAR, FakeSpeech, Gateway, Serve, leaving

SPEECH = "/v1/audio/speech"
HELLO = {"model": "tts-1", "input": "Hello there.", "response_format": "pcm"}
KEYS = {"api_keys": "sk-one, sk-two"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/v1/nowhere", {}, 404, "not_found"),
        ("GET", SPEECH, {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", {}, 405, "method_not_allowed"),
        ("POST", SPEECH, {"content": b"{", "headers": {"content-type": "application/json"}}, 400, None),
        ("POST", SPEECH, {"content": b"[]", "headers": {"content-type": "application/json"}}, 400, None),
        ("POST", SPEECH, {"content": b"", "headers": {"content-type": "application/json"}}, 400, None),
        ("POST", SPEECH, {"content": b"\xff", "headers": {"content-type": "application/json"}}, 400, None),
        ("POST", SPEECH, {"content": b"hello"}, 415, "unsupported_media_type"),
        ("POST", SPEECH, {"data": HELLO}, 415, "unsupported_media_type"),
        ("POST", SPEECH, {"files": {"file": b"x"}}, 415, "unsupported_media_type"),
        ("POST", SPEECH, {"json": {}}, 400, None),
    ],
)
async def test_every_error_has_openais_envelope(
    gateway: Gateway, method: str, path: str, options: dict[str, Any], status: int, code: str | None
) -> None:
    answer = await gateway.http.request(method, path, **options)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert answer.headers["x-request-id"]


async def test_the_error_for_a_wrong_method_names_the_right_one(gateway: Gateway) -> None:
    assert (await gateway.http.get(SPEECH)).headers["allow"] == "POST"


async def test_a_fault_of_the_gateway_is_a_500_without_details(
    gateway: Gateway, triton: FakeTriton, caplog: pytest.LogCaptureFixture
) -> None:
    triton.handlers["kokoro-82m"] = lambda call: iter([{"audio": np.zeros(1, np.int16)}])
    answer = await gateway.http.post(SPEECH, json=HELLO)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "sample_rate" not in answer.text
    assert "KeyError" in caplog.text


async def test_a_request_past_its_deadline_is_a_504_and_stops_the_model(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech, expire: Callable[[], None]
) -> None:
    kokoro.gates = [asyncio.Event()]
    async with serve(request_timeout=FAR) as gateway:
        request = asyncio.create_task(gateway.http.post(SPEECH, json=HELLO))
        await asyncio.wait_for(kokoro.called.wait(), 300)
        expire()
        answer = await request
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)


async def test_a_body_that_never_comes_is_a_504(serve: Serve) -> None:
    async with serve(request_timeout=0.05) as gateway:
        assert await status_while_sending(gateway, forever(b"{")) == 504


@pytest.mark.parametrize("key", ["sk-one", "sk-two"])
async def test_a_request_with_any_of_the_keys_is_accepted(serve: Serve, key: str) -> None:
    async with serve(**KEYS) as gateway:
        client = gateway.openai.with_options(api_key=key)
        assert (await client.models.list()).data


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
async def test_a_key_may_be_in_the_headers_of_other_servers_clients(serve: Serve, header: str) -> None:
    async with serve(**KEYS) as gateway:
        assert (await gateway.http.get("/v1/models", headers={header: "sk-two"})).status_code == 200
        assert (await gateway.http.get("/v1/models", headers={header: "sk-three"})).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer sk-on"},
        {"authorization": "Bearer sk-onee"},
        {"authorization": "Basic sk-one"},
        {"authorization": "sk-one"},
        {"authorization": "Bearer sk-one, sk-two"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/voices", SPEECH, "/nowhere"])
async def test_a_request_without_a_valid_key_is_rejected(
    serve: Serve, triton: FakeTriton, path: str, headers: dict[str, str]
) -> None:
    async with serve(**KEYS) as gateway:
        answer = await gateway.http.post(path, json=HELLO, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert not triton.calls


async def test_a_wrong_key_is_an_authentication_error_of_the_sdk(serve: Serve) -> None:
    async with serve(**KEYS) as gateway:
        with pytest.raises(openai.AuthenticationError):
            await gateway.openai.models.list()


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/", "/docs", "/favicon.ico", "/openapi.json"])
async def test_probes_metrics_and_docs_need_no_key(serve: Serve, path: str) -> None:
    async with serve(**KEYS) as gateway:
        assert (await gateway.http.get(path, follow_redirects=True)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/tts-1", "/v1/audio/models", "/v1/audio/voices"])
async def test_public_lists_open_the_lists_and_nothing_else(serve: Serve, path: str) -> None:
    async with serve(**KEYS) as gateway:
        assert (await gateway.http.get(path)).status_code == 401
    async with serve(**KEYS, public_lists=True) as gateway:
        assert (await gateway.http.get(path)).status_code == 200
        assert (await gateway.http.post(path)).status_code == 401
        assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 401


async def test_a_key_is_checked_before_the_body_is_read(serve: Serve) -> None:
    async with serve(**KEYS) as gateway:
        assert await status_while_sending(gateway, endless()) == 401


async def test_an_endless_body_is_rejected_at_the_limit(serve: Serve) -> None:
    async with serve(max_upload_bytes=5000) as gateway:
        assert await status_while_sending(gateway, endless()) == 413


async def test_a_client_that_goes_on_sending_a_rejected_body_is_cut_off(serve: Serve) -> None:
    async with serve(clocks={"linger": 0.05}, max_upload_bytes=5000) as gateway:
        assert await status_while_sending(gateway, endless(), until_cut=True) == 413


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 1000
        await asyncio.sleep(0)


async def forever(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
    await asyncio.Event().wait()


async def status_while_sending(gateway: Gateway, body: AsyncIterator[bytes], *, until_cut: bool = False) -> int:
    """Return the status of a response that arrives while the request is still being sent."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {SPEECH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())

    async def send() -> None:
        with suppress(ConnectionError):  # the server has hung up
            async for piece in body:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()

    sending = asyncio.create_task(send())
    try:
        line = await asyncio.wait_for(reader.readline(), 300)
        if until_cut:
            await asyncio.wait_for(sending, 300)
    finally:
        sending.cancel()
        writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize("path", [SPEECH, "/v1/audio/transcriptions"])
async def test_a_body_over_the_limit_is_a_413(serve: Serve, path: str) -> None:
    async with serve(max_upload_bytes=1000) as gateway:
        assert (await gateway.http.post(path, json={**HELLO, "x": "y" * 1000})).status_code == 413
        answer = await gateway.http.post(path, files={"file": ("a.wav", b"x" * 2000)}, data={"model": "whisper-1"})
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "payload_too_large"


async def test_a_body_without_a_declared_length_is_counted(serve: Serve) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield json.dumps({**HELLO, "x": "y" * 2000}).encode()

    async with serve(max_upload_bytes=1000) as gateway:
        answer = await gateway.http.post(SPEECH, content=body(), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 200


async def test_requests_beyond_max_requests_are_rejected_until_one_ends(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    first, rest = asyncio.Event(), asyncio.Event()
    first.set()
    kokoro.gates = [first, rest]
    async with serve(max_requests=1) as gateway:
        async with gateway.http.stream("POST", SPEECH, json=HELLO) as speaking:
            pieces = speaking.aiter_bytes()  # kept: its end would close the connection
            await anext(pieces)
            refused = await gateway.http.post(SPEECH, json=HELLO)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["error"]["type"] == "rate_limit_error"
            assert (await gateway.http.get("/v1/models")).status_code == 200
        # The first client has disconnected in mid-stream.
        await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)
        rest.set()
        assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/nowhere", "/v1/audio/voices?model=x"])
async def test_a_browser_of_a_known_origin_may_read_responses_and_errors(serve: Serve, path: str) -> None:
    async with serve(cors_origins="https://a.example,https://b.example") as gateway:
        known = await gateway.http.get(path, headers={"origin": "https://b.example"})
        assert known.headers["access-control-allow-origin"] == "https://b.example"
        stranger = await gateway.http.get(path, headers={"origin": "https://c.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_a_browsers_preflight_request_needs_no_key(serve: Serve) -> None:
    headers = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with serve(cors_origins="*", **KEYS) as gateway:
        answer = await gateway.http.options(SPEECH, headers=headers)
        assert answer.status_code == 200
        assert "authorization" in answer.headers["access-control-allow-headers"]
        denied = await gateway.http.post(SPEECH, json=HELLO, headers={"origin": "https://a.example"})
        assert (denied.status_code, denied.headers["access-control-allow-origin"]) == (401, "*")


@pytest.mark.parametrize("sent", ["abc-123", "0190:x.y_z"])
async def test_a_sane_request_id_is_kept(gateway: Gateway, sent: str) -> None:
    answer = await gateway.http.get("/health", headers={"x-request-id": sent})
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'a"b', "ä".encode().decode("latin-1")])
async def test_an_unusable_request_id_is_replaced(gateway: Gateway, sent: str) -> None:
    answers = [await gateway.http.get("/health", headers={b"x-request-id": sent.encode("latin-1")}) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert sent not in ids


async def test_a_request_is_logged_without_text_voice_and_key(
    serve: Serve, request_lines: Callable[[], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(**KEYS) as gateway:
        body = {**HELLO, "input": "My secret diary.", "voice": "af_heart"}
        await gateway.http.post(SPEECH, json=body, headers={"authorization": "Bearer sk-two", "x-request-id": "id-7"})
    line = request_lines()[0]
    assert (
        line.items()
        >= {
            "method": "POST",
            "path": SPEECH,
            "status": 200,
            "model": "kokoro-82m",
            "audio_seconds": 1.2,
        }.items()
    )
    assert line["ms"] >= line["first_byte_ms"] > 0
    assert not any(word in caplog.text + str(line) for word in ("diary", "sk-two", "af_heart"))


async def test_a_client_that_disconnects_is_logged_with_status_499(
    gateway: Gateway,
    triton: FakeTriton,
    kokoro: FakeSpeech,
    request_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    kokoro.gates = [asyncio.Event()]
    async with leaving(gateway.http.post(SPEECH, json=HELLO)):
        await asyncio.wait_for(kokoro.called.wait(), 300)
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)
    await gateway.http.get("/health")
    assert request_lines()[0].items() >= {"status": 499, "cut": True}.items()
