"""A fake Triton for unit tests of the gateway: the real gRPC protocol on loopback, with scripted models behind it.

It knows nothing of speech. What the real server does is tested against the real server, end to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from tritone.errors import TritoneError

Tensors = Mapping[str, NDArray[Any]]


@dataclass
class Call:
    """One request as the fake saw it."""

    model: str
    request_id: str
    inputs: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    timeout: float | None = None
    """Seconds; the real server, too, does not show it among the parameters."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client cancelled the call, or left, before its end."""


class Status(Exception):
    """What a handler raises to break the call itself, as a lost connection does."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        super().__init__(details)
        self.code = code
        self.details = details


Handler = Callable[[Call], Iterable[Tensors] | AsyncIterator[Tensors]]
"""A model: gives its responses, or raises a `TritoneError` or a `Status` on the way."""


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`async with FakeTriton({"kokoro-82m": handler}) as triton:` serves on `triton.address`.

    `calls` holds what was asked, in order; `away` the names of the models that are not ready.
    Every stream ends with an empty final response, as those of Triton's decoupled models do.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = dict(handlers)
        self.away: set[str] = set()
        self.calls: list[Call] = []
        self.address = ""
        self._server = grpc.aio.server()

    async def __aenter__(self) -> Self:
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.stop(grace=1)

    async def ModelReady(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name in self.handlers.keys() - self.away)

    async def ModelStreamInfer(self, requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async for request in requests:
            assert request.parameters["triton_enable_empty_final_response"].bool_param
            final = service_pb2.ModelStreamInferResponse(infer_response=_response(request, {}))
            final.infer_response.parameters["triton_final_response"].bool_param = True
            try:
                async for tensors in self._answer(request):
                    yield service_pb2.ModelStreamInferResponse(infer_response=_response(request, tensors))
            except TritoneError as error:
                # The real server, too, sends the text alone.
                final.error_message = str(error)
            except Status as error:
                await context.abort(error.code, error.details)
            yield final

    async def _answer(self, request: Any) -> AsyncIterator[Tensors]:
        parameters = _parameters(request)
        microseconds = parameters.pop("timeout", None)
        timeout = None if microseconds is None else microseconds / 1e6
        call = Call(request.model_name, request.id, _inputs(request), parameters, timeout)
        self.calls.append(call)
        if call.model not in self.handlers:
            raise TritoneError(f"Request for unknown model: '{call.model}' is not found")
        answers = self.handlers[call.model](call)
        try:
            if isinstance(answers, AsyncIterator):
                async for tensors in answers:
                    yield tensors
            else:
                for tensors in answers:
                    yield tensors
        except (asyncio.CancelledError, GeneratorExit):
            call.cancelled.set()
            raise


def _inputs(request: Any) -> dict[str, NDArray[Any]]:
    arrays = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            array = deserialize_bytes_tensor(raw)
        else:
            array = np.frombuffer(raw, dtype=triton_to_np_dtype(tensor.datatype))
        arrays[tensor.name] = array.reshape(tensor.shape)
    return arrays


def _parameters(request: Any) -> dict[str, Any]:
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in request.parameters.items()
        if not name.startswith("triton_")
    }


def _response(request: Any, tensors: Tensors) -> Any:
    response = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
    for name, array in tensors.items():
        tensor = response.outputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        if tensor.datatype == "BYTES":
            response.raw_output_contents.append(serialize_byte_tensor(array).item() if array.size else b"")
        else:
            response.raw_output_contents.append(np.ascontiguousarray(array).tobytes())
    return response
