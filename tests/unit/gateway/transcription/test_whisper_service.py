"""The Whisper REST API, as its documentation gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fake_triton import FakeTriton
from tests.ports import free_ports
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.process import running
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tritone.errors import Overloaded
from tritone.transcript import Transcript

RECORDING = encoded(parts(1), "flac", "flac")


@pytest.fixture
async def llm() -> AsyncIterator[LanguageModelServer]:
    async with LanguageModelServer().serving() as server:
        yield server


async def post(gateway: Gateway, path: str, **fields: str) -> httpx.Response:
    return await gateway.http.post(f"/whisper{path}", data=fields, files={"file": ("talk.flac", RECORDING)})


async def test_transcribe_answers_with_text_and_language(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script = {0: Transcript("ko", 0.9, (segment(" 안녕하세요."),))}
    answer = await post(gateway, "/transcribe", language="ko")
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "text": "안녕하세요.", "language": "ko"}
    assert whisper.calls[0].parameters["language"] == "ko"
    assert answer.headers["x-tritone-model"] == "whisper-base"


async def test_transcribe_detects_the_language_without_one(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await post(gateway, "/transcribe")
    assert answer.json()["language"] == "de"
    assert "language" not in whisper.calls[0].parameters


@pytest.mark.parametrize(
    ("fields", "problem"),
    [({"language": "klingonese"}, "language: 'klingonese' is unknown; send an ISO 639 code such as `ko`")],
)
async def test_a_wrong_field_is_named(gateway: Gateway, fields: dict[str, str], problem: str) -> None:
    answer = await post(gateway, "/transcribe", **fields)
    assert answer.status_code == 400
    assert answer.json() == {"success": False, "detail": problem}


async def test_a_missing_file_is_named(gateway: Gateway) -> None:
    answer = await gateway.http.post("/whisper/transcribe", data={"language": "ko"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("file: ")


async def test_a_file_without_audio_is_named(gateway: Gateway) -> None:
    answer = await gateway.http.post("/whisper/transcribe", files={"file": ("a.wav", b"no audio")})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("file: ")


async def test_a_full_model_is_told(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures = {0: Overloaded("full", 3)}
    answer = await post(gateway, "/transcribe")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["success"] is False


async def test_the_language_model_follows_the_instruction(serve: Serve, llm: LanguageModelServer) -> None:
    async with serve(llm_url=llm.url, llm_model="small") as gateway:
        answer = await post(gateway, "/transcribe-and-process", instruction="Summarize it.")
    assert answer.json() == {"success": True, "text": "part 0", "language": "de", "result": "It is done."}
    assert [message["content"] for message in llm.requests[0]["messages"]] == ["Summarize it.", "part 0"]


async def test_an_error_of_the_language_model_is_a_502(serve: Serve, llm: LanguageModelServer) -> None:
    llm.status = 500
    async with serve(llm_url=llm.url) as gateway:
        answer = await post(gateway, "/transcribe-and-process", instruction="Summarize it.")
    assert answer.status_code == 502
    assert answer.json() == {"success": False, "detail": "the language model answered with status 500"}


async def test_processing_without_a_language_model_is_a_501(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await post(gateway, "/transcribe-and-process", instruction="Summarize it.")
    assert answer.status_code == 501
    assert "LLM_URL" in answer.json()["detail"]
    assert not whisper.calls


@pytest.mark.parametrize("fields", [{}, {"instruction": " "}])
async def test_processing_needs_an_instruction(serve: Serve, llm: LanguageModelServer, fields: dict[str, Any]) -> None:
    async with serve(llm_url=llm.url) as gateway:
        answer = await post(gateway, "/transcribe-and-process", **fields)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("instruction: ")


async def test_health_tells_whether_the_model_is_loaded(gateway: Gateway, triton: FakeTriton) -> None:
    answer = await gateway.http.get("/whisper/health")
    assert answer.json() == {"status": "ok", "model": "whisper-base", "model_loaded": True}
    triton.states["whisper-base"] = "loading"
    await gateway.follow(triton)
    answer = await gateway.http.get("/whisper/health")
    assert answer.json() == {"status": "loading", "model": "whisper-base", "model_loaded": False}


async def test_only_health_needs_no_key(serve: Serve) -> None:
    async with serve(api_keys="sk-one") as gateway:
        assert (await gateway.http.get("/whisper/health")).status_code == 200
        denied = await post(gateway, "/transcribe")
    assert denied.status_code == 401
    assert denied.json()["success"] is False


async def test_a_surface_stands_at_the_root_of_its_own_port(triton: FakeTriton, tmp_path: Any) -> None:
    del triton.handlers["whisper-base"]  # a gateway needs the detector's weights for it
    await triton.publish()
    (port,) = free_ports(1)
    async with (
        running(triton.address, tmp_path, SURFACE_PORTS=f"whisper={port}") as (_, url),
        httpx.AsyncClient(timeout=300) as http,
    ):
        assert (await http.get(f"{url}/health")).json()["status"] == "ok"
        unserved = await http.get(f"http://127.0.0.1:{port}/health")
        assert (unserved.status_code, unserved.json()["success"]) == (404, False)
        missing = await http.post(f"http://127.0.0.1:{port}/transcribe")
        assert (missing.status_code, missing.json()["success"]) == (400, False)
        assert (await http.post(f"http://127.0.0.1:{port}/whisper/transcribe")).json() == missing.json()


@pytest.mark.parametrize("ports", ["whisper=0", "whisper", "nothing=1234", "=80"])
async def test_a_wrong_setting_of_ports_is_rejected(serve: Serve, ports: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)surface_ports"):
        async with serve(surface_ports=ports):
            pass
