"""Starts, failed starts and stops of scripts/serve, as an operator sees them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from tests.e2e.server import NO_NETWORK, ROOT, TOYS, Server, descendants, serve
from tests.ports import free_ports

TRANSCRIPTION_ONLY = {"TTS_MODES": "none"}


def shared_memory(processes: list[psutil.Process]) -> set[Path]:
    """Return the shared memory regions of the processes."""
    maps = [entry.path for process in processes for entry in process.memory_maps()]
    return {Path(path) for path in maps if path.startswith("/dev/shm/")}


def test_server_starts_again_without_network(server: Server) -> None:
    models = [model["id"] for model in httpx.get(f"{server.url}/v1/models", timeout=300).json()["data"]]
    assert models[:2] == ["kokoro-82m", "whisper-base"]
    assert server.url in server.log.read_text()
    assert server.log.read_text().count("curl") >= 2


def test_death_of_a_models_process_ends_its_streams_and_the_model_is_loaded_again(tmp_path: Path) -> None:
    story = {"model": "tts-1", "voice": "alloy", "input": "A long story. " * 200, "response_format": "pcm"}
    with serve(tmp_path / "log", STT_MODELS="none", DRAIN_TIMEOUT="1") as server:
        (stub,) = [one for one in descendants(server.process.pid) if "/kokoro-82m/1/" in " ".join(one.cmdline())]
        with httpx.stream("POST", f"{server.url}/v1/audio/speech", json=story, timeout=300) as response:
            pieces = response.iter_bytes()
            next(pieces)
            stub.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                list(pieces)
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=60) as client:
            assert client.audio.speech.create(model="tts-1", voice="alloy", input="Hello again.").content
        assert "the process of kokoro-82m died (SIGKILL), loading the model again now" in server.log.read_text()
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("signal_number", "group", "models"),
    [(signal.SIGTERM, False, TRANSCRIPTION_ONLY), (signal.SIGTERM, True, TOYS), (signal.SIGINT, True, TOYS)],
    ids=["SIGTERM", "SIGTERM to the group", "Ctrl-C"],
)
def test_stop_leaves_no_process_no_shared_memory_and_no_open_port(
    tmp_path: Path, signal_number: int, group: bool, models: dict[str, str]
) -> None:
    with serve(tmp_path / "log", **models) as server:
        children = descendants(server.process.pid)
        assert len(children) >= 3, "Triton, stubs and the gateway"
        regions = shared_memory(children)
        assert regions, "the stubs share memory with the server"
        assert server.stop(signal_number, group=group) == 0, server.log.read_text()
    _, alive = psutil.wait_procs(children, timeout=300)
    assert alive == []
    assert [region for region in regions if region.exists()] == []
    for port in server.ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))


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
