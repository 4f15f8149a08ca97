from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2_grpc

from supervisor.settings import Settings
from tests.ports import free_ports
from tests.unit.supervisor.control_stand_in import Triton


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Make settings only from a test's arguments, with free ports; the caller's environment is ignored."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    names = ["triton_http_port", "triton_grpc_port", "triton_metrics_port", "api_port"]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    return lambda **given: Settings(**{"_env_file": None, **ports, **given})


class NvidiaSmi:
    """A shell script at the front of PATH, in place of `nvidia-smi`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *lines: str, then: str = "") -> None:
        text = "\n".join(lines)
        script = self._folder / "nvidia-smi"
        script.write_text(f"#!/bin/sh\necho \"$*\" > '{self._folder}/arguments'\ncat <<'END'\n{text}\nEND\n{then}\n")
        script.chmod(0o755)

    def arguments(self) -> str:
        """Return the arguments of its last call."""
        return (self._folder / "arguments").read_text()


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvidiaSmi:
    folder = tmp_path / "driver"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return NvidiaSmi(folder)


@pytest.fixture
def extra_family(tmp_path: Path) -> Path:
    """A family outside of the clone with one speech model, `bark-small`."""
    folder = tmp_path / "families" / "bark"
    folder.mkdir(parents=True)
    (folder / "family.toml").write_text(
        '[family]\nkind = "speech"\nmode = "voice"\nenvironment = "bark"\nowner = "suno"\n[models.bark-small]\n'
    )
    (folder / "model.py").write_text("class TritonPythonModel:\n    name = __name__\n")
    return folder


@pytest_asyncio.fixture
async def triton() -> AsyncIterator[Triton]:
    """A running stand-in of Triton's gRPC server."""
    triton = Triton()
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    triton.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield triton
    await server.stop(grace=None)
