"""Models that nobody uses are unloaded and loaded again on the real Triton; they are the toy families'."""

from __future__ import annotations

import base64
import io
import json
import signal
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import psutil
import pytest
import websockets.sync.client
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.e2e.server import NO_NETWORK, PATIENCE, TOYS, Server, assert_stop_leaves_nothing, descendants, serve
from tests.plain_http import NO_TLS

SOON = {"IDLE_TIMEOUT": "sine=2,counter=3"}


@pytest.fixture(scope="module")
def idling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("idle") / "serve.log", **NO_NETWORK, **TOYS, **SOON) as server:
        yield server


def states(server: Server) -> Any:
    return httpx.get(f"{server.url}/health", timeout=300, verify=NO_TLS).json()["models"]


def stubs(server: Server, model: str) -> list[psutil.Process]:
    return [child for child in descendants(server.process.pid) if f"/{model}/1/model.py" in " ".join(child.cmdline())]


def sleeps(server: Server, model: str) -> bool:
    return states(server)[model] == "idle" and not stubs(server, model)


def say(server: Server) -> httpx.Response:
    body = {"model": "sine", "input": "Hello.", "response_format": "wav"}
    return httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=PATIENCE)


def recording() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(bytes(32_000))
    return file.getvalue()


def test_idle_models_are_unloaded_and_concurrent_requests_load_one_once(idling: Server) -> None:
    idling.wait_until(lambda: sleeps(idling, "sine"))
    assert httpx.get(f"{idling.url}/ready", timeout=300).status_code == 200
    assert "sine" in httpx.get(f"{idling.url}/v1/models", timeout=300).text
    loads = idling.log.read_text().splitlines().count("loading sine")
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: say(idling), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert idling.log.read_text().splitlines().count("loading sine") == loads + 1
    assert "died" not in idling.log.read_text()
    idling.wait_until(lambda: sleeps(idling, "sine"))
    assert say(idling).status_code == 200


def test_an_open_session_keeps_its_model_loaded_and_wakes_it(idling: Server) -> None:
    idling.wait_until(lambda: sleeps(idling, "counter"))
    address = idling.url.replace("http", "ws")
    with websockets.sync.client.connect(f"{address}/v1/realtime?model=counter", open_timeout=PATIENCE) as session:
        idling.wait_until(lambda: states(idling)["counter"] == "ready")
        # While the other model comes and goes twice, this one stays.
        (stub,) = stubs(idling, "counter")
        for _ in range(2):
            assert say(idling).status_code == 200
            idling.wait_until(lambda: sleeps(idling, "sine"))
        assert stubs(idling, "counter") == [stub]
        session.send(json.dumps({"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}}))
        audio = base64.b64encode(bytes(48_000)).decode()
        session.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        session.send('{"type": "input_audio_buffer.commit"}')
        while not json.loads(session.recv(PATIENCE))["type"].endswith("transcription.completed"):
            pass
    idling.wait_until(lambda: sleeps(idling, "counter"))


def test_a_recording_for_the_long_model_wakes_its_transcription_model(idling: Server) -> None:
    idling.wait_until(lambda: sleeps(idling, "counter"))
    loads = idling.log.read_text().splitlines().count("loading counter")
    request = service_pb2.ModelInferRequest(model_name="transcription-long")
    request.inputs.add(name="audio", datatype="FP32", shape=[16_000])
    request.raw_input_contents.append(bytes(64_000))
    with grpc.insecure_channel(idling.grpc, [("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        errors = [answer.error_message for answer in stub.ModelStreamInfer(iter([request]), timeout=PATIENCE)]
    assert not any(errors)
    assert idling.log.read_text().splitlines().count("loading counter") == loads + 1
    answer = httpx.post(
        f"{idling.url}/v1/audio/transcriptions",
        data={"model": "counter"},
        files={"file": ("a.wav", recording())},
        timeout=PATIENCE,
    )
    assert answer.status_code == 200


def test_sigterm_to_the_group_of_a_server_with_an_unloaded_model_leaves_nothing(idling: Server) -> None:
    idling.wait_until(lambda: sleeps(idling, "sine"))
    assert_stop_leaves_nothing(idling, signal.SIGTERM, group=True)
