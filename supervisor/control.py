"""The supervisor's control of Triton over gRPC: readiness, loading, unloading and describing models."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tritone.contract import INTERFACES, PRIORITY_FIRST
from tritone.descriptions import SpeechDescription, TranscriptionDescription
from tritone.families import Model
from tritone.served import Description

KEY = "tritone-control"
"""Name of the secret in Triton's options for restricted protocols."""
METADATA = f"triton-grpc-protocol-{KEY}"
"""Metadata key that carries the secret of a call."""

_PROBE_TIMEOUT = 5.0
_DESCRIBE_TIMEOUT = 60.0
_LAST_ANSWERS = 1.0
"""Seconds that requests of `model_answers` have to end before they are cancelled."""
_SILENCE = 1600
"""Samples of the audio in a request for a description; models ignore its content."""
_OPTIONS = [
    # The server is ours: a proxy of the environment cannot reach it.
    ("grpc.enable_http_proxy", 0),
    # The server opens its port tens of milliseconds after it starts; gRPC's default is to try again after a second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class LoadError(Exception):
    """Triton could not load, unload or describe a model; the message is Triton's."""


class UnreachableError(Exception):
    """Triton's gRPC port does not answer."""


class Control:
    """A client of Triton's gRPC API that may load and unload models: `async with Control(address, secret) as control`.

    It must be closed before the server is stopped.
    """

    def __init__(self, address: str, secret: str = "") -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._calls: dict[str, asyncio.Task[bytes | None]] = {}
        """Model -> its last request of `model_answers`."""
        self._metadata = ((METADATA, secret),) if secret else ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._calls:
            await asyncio.wait(self._calls.values(), timeout=_LAST_ANSWERS)
            for call in self._calls.values():
                call.cancel()
            await asyncio.gather(*self._calls.values(), return_exceptions=True)
        await self._channel.close()

    async def server_ready(self) -> bool:
        """Return whether the server takes requests. Raises `UnreachableError`."""
        try:
            answer = await self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=_PROBE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise UnreachableError(error.details()) from None
        return bool(answer.ready)

    async def server_live(self) -> bool:
        """Return whether the server answers; it may take for ever if the server is stopped."""
        try:
            await self._stub.ServerLive(service_pb2.ServerLiveRequest())
        except grpc.aio.AioRpcError:
            return False
        return True

    async def model_ready(self, model: str) -> bool:
        """Return whether the model takes requests; False also where the server does not answer."""
        try:
            answer = await self._stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=_PROBE_TIMEOUT)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)

    async def load(self, model: str) -> None:
        """Load a model, and return once it is loaded. Raises `LoadError`."""
        # No timeout: the start has one deadline for everything.
        await self._restricted(self._stub.RepositoryModelLoad, service_pb2.RepositoryModelLoadRequest(model_name=model))

    async def unload(self, model: str) -> None:
        """Make the server reject further requests for a model, and unload it after those that it has.

        Raises `LoadError`.
        """
        await self._restricted(
            self._stub.RepositoryModelUnload, service_pb2.RepositoryModelUnloadRequest(model_name=model)
        )

    async def describe(self, model: Model) -> Description:
        """Return a loaded model's description of its abilities. Raises `LoadError`."""
        text = await self._described(model, _DESCRIBE_TIMEOUT)
        if not text:
            raise LoadError(f"{model.id} does not describe itself: its answer has no description")
        parse = SpeechDescription.from_json if model.kind == "speech" else TranscriptionDescription.from_json
        return parse(text)

    async def model_answers(self, model: Model) -> bool:
        """Return True once the model has answered a request, with or without success; it may take for ever.

        The answer leaves the model's `execute`, so a stopped or blocked stub does not answer. If the caller is
        cancelled, the request goes on until `forget` or the end of this client: a request that is cancelled just
        before its end can keep the model loaded for ever.
        """
        call = self._calls[model.id] = asyncio.create_task(self._described(model, None))
        with suppress(LoadError):
            await asyncio.shield(call)
        return True

    def forget(self, model: Model) -> None:
        """Cancel the request of `model_answers`: the model's stub is dead."""
        if call := self._calls.pop(model.id, None):
            call.cancel()

    async def _described(self, model: Model, timeout: float | None) -> bytes | None:  # noqa: ASYNC109 - gRPC's deadline
        # A stream for every model: a unary call that ends at its deadline can crash Triton 2.51.
        stream = self._stub.ModelStreamInfer(_once(_describe_request(model)), timeout=timeout)
        text: bytes | None = None
        try:
            async for answer in stream:
                if answer.error_message:
                    raise LoadError(f"{model.id} does not describe itself: {answer.error_message.strip()}")
                for output, content in zip(
                    answer.infer_response.outputs, answer.infer_response.raw_output_contents, strict=True
                ):
                    text = content[4:] if output.name == "description" else text  # 4 bytes are the length
        except grpc.aio.AioRpcError as error:
            raise LoadError(f"{model.id} does not describe itself: {error.details() or error.code().name}") from None
        return text

    async def _restricted(self, call: Any, request: Any) -> None:
        try:
            await call(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise LoadError((error.details() or error.code().name).strip()) from None


async def _once(request: Any) -> AsyncIterator[Any]:
    yield request


def _describe_request(model: Model) -> Any:
    """Return a request with the option `describe`; its required inputs are empty text and silence.

    A model without this option, `tritone`, is sent a request that it answers at once.
    """
    interface = INTERFACES[model.interface]
    request = service_pb2.ModelInferRequest(model_name=model.id)
    request.parameters["priority"].uint64_param = PRIORITY_FIRST
    if model.kind != "companion":
        request.parameters["describe"].bool_param = True
        request.outputs.add(name="description")
    for tensor in interface.inputs:
        if tensor.optional:
            continue
        shape = [_SILENCE if size < 0 else size for size in tensor.shape]
        batched = [1, *shape] if model.max_batch_size else shape
        request.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=batched)
        item_size = 2 if tensor.dtype == "INT16" else 4  # an empty text is its length, 0 in 4 bytes
        request.raw_input_contents.append(bytes(math.prod(shape) * item_size))
    return request
