"""The health check of the container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from supervisor import ready
from supervisor.plan import Plan
from supervisor.run_folder import record_port, run_folder
from supervisor.served_document import DocumentWriter
from supervisor.settings import Settings
from tests.ports import free_ports
from tritone.catalogue import Catalogue
from tritone.served import ModelState


@pytest.fixture
def loaded() -> set[str]:
    return {"kokoro-82m", "transcription-long", "tritone", "whisper-base"}


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
def dead() -> set[str]:
    """Models with a dead stub."""
    return set()


@pytest.fixture
def states() -> dict[str, ModelState]:
    """The states of models that are not ready."""
    return {}


@pytest.fixture
def check(
    monkeypatch: pytest.MonkeyPatch,
    settings: Callable[..., Settings],
    runs: Path,
    loaded: set[str],
    dead: set[str],
    states: dict[str, ModelState],
) -> Callable[[int], int]:
    """Return the exit status for a run of the default models with a Triton on every address of a port."""
    names = sorted(loaded)
    catalogue = Catalogue.load({})
    models = catalogue.choose((), ())

    def check(port: int) -> int:
        given = settings(triton_host="0.0.0.0", triton_grpc_port=port, device="cpu", gateway=False)
        with run_folder(runs) as folder:
            record_port(folder, port)
            for name in names:
                (folder / "model_repository" / name).mkdir(parents=True)
            document = DocumentWriter(folder / "served.json", Plan(given, catalogue, "cpu", models))
            for model in models:
                document.set_model(model.id, "loading" if model.id in dead else states.get(model.id, "ready"))
        monkeypatch.setattr(ready, "Settings", lambda: given)
        return ready.main()

    return check


def test_the_check_passes_once_every_chosen_model_is_ready(check: Callable[[int], int], triton: int) -> None:
    assert check(triton) == 0


@pytest.mark.parametrize("model", ["whisper-base", "transcription-long"])
def test_a_model_that_is_not_loaded_is_named(
    check: Callable[[int], int], triton: int, loaded: set[str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded.remove(model)
    assert check(triton) == 1
    assert capsys.readouterr().err == f"not ready: {model}\n"


def test_the_check_passes_while_a_model_is_idle(
    check: Callable[[int], int], triton: int, loaded: set[str], states: dict[str, ModelState]
) -> None:
    states["kokoro-82m"] = "idle"
    loaded.remove("kokoro-82m")
    assert check(triton) == 0


def test_a_model_with_a_dead_stub_is_named_though_triton_calls_it_ready(
    check: Callable[[int], int], triton: int, dead: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    dead.add("whisper-base")
    assert check(triton) == 1
    assert capsys.readouterr().err == "not ready: whisper-base\n"


def test_a_server_that_does_not_answer_is_not_ready(
    check: Callable[[int], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(port := free_ports(1)[0]) == 1
    assert f"127.0.0.1:{port} does not answer" in capsys.readouterr().err


def test_the_check_fails_without_a_run_on_the_port(
    settings: Callable[..., Settings], runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_folder(runs) as folder:
        record_port(folder, 18000)
    monkeypatch.setattr(ready, "Settings", lambda: settings(triton_grpc_port=18001))
    assert ready.main() == 1
    assert "nothing is served at 127.0.0.1:18001 yet" in capsys.readouterr().err
