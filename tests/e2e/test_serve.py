"""Starts, failed starts and stops of scripts/serve, as an operator sees them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.server import NO_NETWORK, ROOT, TOYS, Server, assert_stop_leaves_nothing, descendants, serve
from tests.plain_http import NO_TLS
from tests.ports import free_ports

TRANSCRIPTION_ONLY = {"TTS_MODES": "none"}


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with Kokoro alone."""
    with serve(tmp_path_factory.mktemp("speaking") / "log", STT_MODELS="none", DRAIN_TIMEOUT="1") as server:
        yield server


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the toy models."""
    with serve(tmp_path_factory.mktemp("toys") / "log", **TOYS, DRAIN_TIMEOUT="5") as server:
        yield server


def test_server_starts_again_without_network(server: Server) -> None:
    models = [model["id"] for model in httpx.get(f"{server.url}/v1/models", timeout=300).json()["data"]]
    assert models[:2] == ["kokoro-82m", "whisper-base"]
    assert server.url in server.log.read_text()
    assert server.log.read_text().count("curl") >= 2


def test_death_of_a_models_process_ends_its_streams_and_the_model_is_loaded_again(speaking: Server) -> None:
    story = {"model": "tts-1", "voice": "alloy", "input": "A long story. " * 200, "response_format": "pcm"}
    (stub,) = [one for one in descendants(speaking.process.pid) if "/kokoro-82m/1/" in " ".join(one.cmdline())]
    with httpx.stream("POST", f"{speaking.url}/v1/audio/speech", json=story, timeout=300) as response:
        pieces = response.iter_bytes()
        next(pieces)
        stub.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    with openai.OpenAI(base_url=f"{speaking.url}/v1", api_key="unused", max_retries=60) as client:
        assert client.audio.speech.create(model="tts-1", voice="alloy", input="Hello again.").content
    assert "the process of kokoro-82m died (SIGKILL), loading the model again now" in speaking.log.read_text()


def test_sigterm_to_a_server_leaves_nothing(speaking: Server) -> None:
    assert_stop_leaves_nothing(speaking, signal.SIGTERM)


def test_a_dead_or_stopped_gateway_is_started_again_and_triton_is_kept(toys: Server) -> None:
    toys.wait_until(lambda: "serving at" in toys.log.read_text())  # before that, a death ends the start
    for times, number in enumerate((signal.SIGKILL, signal.SIGSTOP), 1):
        before = {child.pid: child for child in descendants(toys.process.pid)}
        (gateway,) = [child for child in before.values() if child.cmdline()[1:3] == ["-m", "gateway"]]
        os.kill(gateway.pid, number)
        toys.wait_until(lambda: toys.log.read_text().count("gateway serves again") == times)  # noqa: B023
        assert not gateway.is_running()
        toys.wait_until(lambda: _is_ready(toys))
        after = {child.pid for child in descendants(toys.process.pid)}
        assert before.keys() - {gateway.pid} <= after, "Triton and its models went on"
    log = toys.log.read_text()
    assert "gateway died (SIGKILL)" in log
    assert "gateway died (stopped by a signal, killed)" in log


def test_ctrl_c_at_a_server_leaves_nothing(toys: Server) -> None:
    assert_stop_leaves_nothing(toys, signal.SIGINT, group=True)


def _is_ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/ready", timeout=30, verify=NO_TLS).status_code == 200
    except httpx.TransportError:
        return False


def start_and_fail(**settings: str) -> str:
    """Return the output of a start that must fail."""
    names = ("API_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")
    ports = dict(zip(names, map(str, free_ports(4)), strict=True))
    run = subprocess.run(
        [ROOT / "scripts/serve"],
        env={**os.environ, **ports, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode != 0
    assert "Traceback" not in run.stdout + run.stderr
    return run.stdout + run.stderr


def test_port_in_use_is_reported_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        lines = [line for line in start_and_fail(TRITON_GRPC_PORT=port).splitlines() if port in line]
    assert len(lines) == 1
    assert "TRITON_GRPC_PORT" in lines[0]


def test_unknown_model_is_reported_with_the_models_that_exist() -> None:
    printed = start_and_fail(STT_MODELS="whisper-giant")
    assert "whisper-giant" in printed
    assert "whisper-base" in printed


def test_missing_weights_that_cannot_be_fetched_are_named(tmp_path: Path) -> None:
    empty = {"MODEL_DIR": str(tmp_path / "models"), "TRITONE_CACHE": str(tmp_path / "cache")}
    printed = start_and_fail(**NO_NETWORK, **TRANSCRIPTION_ONLY, **empty)
    assert str(tmp_path / "models" / "whisper-base" / "model.bin") in printed
