"""The supervisor's gRPC client of Triton, against a server that restricts what Triton restricts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from supervisor.control import Control, LoadError, UnreachableError
from tests.ports import free_ports

SECRET = ("triton-grpc-protocol-tritone-control", "s3cret")


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers as Triton 2.51 does: control needs the secret, `damaged` cannot be loaded."""

    def __init__(self) -> None:
        self.loaded: set[str] = set()
        self.address = ""

    async def ServerReady(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name in self.loaded)

    async def RepositoryModelLoad(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._authorize(context)
        if request.model_name == "damaged":
            await context.abort(grpc.StatusCode.INTERNAL, "weights are damaged\n")
        self.loaded.add(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._authorize(context)
        self.loaded.discard(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()

    async def _authorize(self, context: grpc.aio.ServicerContext) -> None:
        if SECRET not in context.invocation_metadata():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")


@pytest_asyncio.fixture
async def triton() -> AsyncIterator[Triton]:
    triton = Triton()
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    triton.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield triton
    await server.stop(grace=None)


async def test_a_model_is_ready_between_its_load_and_its_unload(triton: Triton) -> None:
    async with Control(triton.address, "s3cret") as control:
        assert await control.server_ready()
        assert not await control.model_ready("whisper-base")
        await control.load("whisper-base")
        assert await control.model_ready("whisper-base")
        await control.unload("whisper-base")
        assert not await control.model_ready("whisper-base")


async def test_a_load_that_fails_raises_the_words_of_the_server(triton: Triton) -> None:
    async with Control(triton.address, "s3cret") as control:
        with pytest.raises(LoadError, match=r"^weights are damaged$"):
            await control.load("damaged")


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_control_without_the_secret_is_rejected(triton: Triton, secret: str) -> None:
    triton.loaded = {"kokoro-82m"}
    async with Control(triton.address, secret) as control:
        with pytest.raises(LoadError, match="restricted"):
            await control.load("whisper-base")
        with pytest.raises(LoadError, match="restricted"):
            await control.unload("kokoro-82m")
    assert triton.loaded == {"kokoro-82m"}


async def test_a_proxy_of_the_environment_is_not_used(triton: Triton, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with Control(triton.address) as control:
        assert await control.server_ready()


async def test_a_server_that_does_not_listen_is_unreachable() -> None:
    async with Control(f"127.0.0.1:{free_ports(1)[0]}", "s3cret") as control:
        with pytest.raises(UnreachableError):
            await control.server_ready()
        assert not await control.model_ready("whisper-base")
        with pytest.raises(LoadError):
            await control.load("whisper-base")
