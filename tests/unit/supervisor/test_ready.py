"""What the container's health check says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from supervisor import ready
from supervisor.run_folder import run_folder, write_serving
from supervisor.settings import Settings
from tests.ports import free_ports


@pytest.fixture
def loaded() -> set[str]:
    return {"kokoro-82m", "whisper-base", "whisper-base-long"}


@pytest.fixture
def triton(loaded: set[str]) -> Iterator[int]:
    """The gRPC port of a server that answers as Triton does for the models in `loaded`."""

    class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:
            return service_pb2.ServerReadyResponse(ready=True)

        def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
            return service_pb2.ModelReadyResponse(ready=request.name in loaded)

    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRITONE_CACHE", str(tmp_path))
    return tmp_path / "runs"


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Settings], runs: Path, loaded: set[str]
) -> Callable[[int], int]:
    """The exit status for a run with the models of `loaded`, whose Triton listens on every address of a port."""
    models = sorted(loaded)

    def ask(port: int) -> int:
        with run_folder(runs) as folder:
            write_serving(folder, port, models)
        given = settings(triton_host="0.0.0.0", triton_grpc_port=port, device="cpu", gateway=False)
        monkeypatch.setattr(ready, "Settings", lambda: given)
        return ready.main()

    return ask


def test_it_is_ready_once_every_chosen_model_is(asked: Callable[[int], int], triton: int) -> None:
    assert asked(triton) == 0


def test_a_model_that_is_not_loaded_is_named(
    asked: Callable[[int], int], triton: int, loaded: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    loaded.remove("whisper-base")
    assert asked(triton) == 1
    assert capsys.readouterr().err == "not ready: whisper-base\n"


def test_a_server_that_does_not_answer_is_not_ready(
    asked: Callable[[int], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(port := free_ports(1)[0]) == 1
    assert f"127.0.0.1:{port} does not answer" in capsys.readouterr().err


def test_nothing_is_ready_where_nothing_was_started_on_that_port(
    settings: Callable[..., Settings], runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_folder(runs) as folder:
        write_serving(folder, 18000, ["whisper-base"])
    monkeypatch.setattr(ready, "Settings", lambda: settings(triton_grpc_port=18001))
    assert ready.main() == 1
    assert "nothing is served at 127.0.0.1:18001 yet" in capsys.readouterr().err
