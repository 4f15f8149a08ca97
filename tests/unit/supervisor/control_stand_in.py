"""A gRPC server that answers the supervisor as Triton 2.51 does."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tritone.descriptions import TranscriptionDescription

SECRET = "s3cret"
DESCRIPTION = TranscriptionDescription(languages=("en", "ko"), tasks=("transcribe",), options=("language",))


async def _nothing(_model: str) -> None:
    pass


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Control needs the secret, and the models in `damaged` cannot be loaded."""

    def __init__(self) -> None:
        self.loaded: set[str] = set()
        self.damaged: set[str] = {"damaged"}
        self.address = ""
        self.requests: list[Any] = []
        self.called: asyncio.Queue[str] = asyncio.Queue()
        self.ends: asyncio.Queue[bool] = asyncio.Queue()
        """True for each request that was cancelled, False for the others."""
        self.outputs = {"description": DESCRIPTION.to_json()}
        self.error = ""
        self.answering = asyncio.Event()
        """Requests wait until it is set."""
        self.answering.set()
        self.on_load: Callable[[str], Awaitable[None]] = _nothing
        self.on_unload: Callable[[str], None] = lambda _model: None

    async def ModelStreamInfer(self, requests: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            async for request in requests:
                self.requests.append(request)
                self.called.put_nowait(request.model_name)
                await self.answering.wait()
                answer = service_pb2.ModelStreamInferResponse(error_message=self.error)
                for name, text in self.outputs.items():
                    answer.infer_response.outputs.add(name=name, datatype="BYTES", shape=[1])
                    answer.infer_response.raw_output_contents.append(struct.pack("<I", len(text)) + text.encode())
                yield answer
        except asyncio.CancelledError:
            self.ends.put_nowait(True)
            raise
        self.ends.put_nowait(False)

    async def ServerReady(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    async def ServerLive(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelReady(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name in self.loaded)

    async def RepositoryModelLoad(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._authorize(context)
        if request.model_name in self.damaged:
            await context.abort(grpc.StatusCode.INTERNAL, "weights are damaged\n")
        await self.on_load(request.model_name)
        self.loaded.add(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._authorize(context)
        self.loaded.discard(request.model_name)
        self.on_unload(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()

    async def _authorize(self, context: grpc.aio.ServicerContext) -> None:
        if ("triton-grpc-protocol-tritone-control", SECRET) not in context.invocation_metadata():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")
