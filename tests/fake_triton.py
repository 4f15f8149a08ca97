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

from tritone.errors import InvalidInput, Overloaded

Tensors = Mapping[str, NDArray[Any]]


@dataclass
class Call:
    """One request as the fake saw it."""

    model: str
    request_id: str
    inputs: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client cancelled the call, or left, before its end."""


class Status(Exception):
    """What a handler raises to end a call with any gRPC status."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        super().__init__(details)
        self.code = code
        self.details = details


Handler = Callable[[Call], Iterable[Tensors] | AsyncIterator[Tensors]]
"""A model: gives its responses, or raises `Status`, `InvalidInput` or `Overloaded` on the way."""


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`async with FakeTriton({"kokoro-82m": handler}) as triton:` serves on `triton.address`.

    `calls` holds what was asked, in order; `serving` the names of the models that say they are ready.
    A model without `final_outputs` of its own gets an empty final response, as Triton gives it.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = dict(handlers)
        self.serving = set(handlers)
        self.calls: list[Call] = []
        self.address = ""
        self._server = grpc.aio.server()

    async def __aenter__(self) -> Self:
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.stop(None)

    async def ModelReady(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name in self.serving)

    async def ModelInfer(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        async for tensors in self._answer(request, context):
            return _response(request, tensors)

    async def ModelStreamInfer(self, requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        assert ("triton_grpc_error", "true") in context.invocation_metadata()
        async for request in requests:
            assert request.parameters["triton_enable_empty_final_response"].bool_param
            async for tensors in self._answer(request, context):
                yield service_pb2.ModelStreamInferResponse(infer_response=_response(request, tensors))
            final = _response(request, {})
            final.parameters["triton_final_response"].bool_param = True
            yield service_pb2.ModelStreamInferResponse(infer_response=final)

    async def _answer(self, request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Tensors]:
        call = Call(request.model_name, request.id, _inputs(request), _parameters(request))
        self.calls.append(call)
        try:
            if call.model not in self.handlers:
                raise Status(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{call.model}' is not found")
            answers = self.handlers[call.model](call)
            if isinstance(answers, AsyncIterator):
                async for tensors in answers:
                    yield tensors
            else:
                for tensors in answers:
                    yield tensors
        except Status as error:
            await context.abort(error.code, error.details)
        except InvalidInput as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Overloaded as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
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
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in request.parameters.items()}


def _response(request: Any, tensors: Tensors) -> Any:
    response = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
    for name, array in tensors.items():
        tensor = response.outputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        if tensor.datatype == "BYTES":
            response.raw_output_contents.append(serialize_byte_tensor(array).item())
        else:
            response.raw_output_contents.append(np.ascontiguousarray(array).tobytes())
    return response
