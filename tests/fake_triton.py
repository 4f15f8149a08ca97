"""A fake Triton for unit tests of the gateway: the real gRPC protocol on loopback, with scripted models behind it.

Its `tritone` model sends the document of the scripted models. Tests of the real server's behaviour run end to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
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

from tritone.catalogue import Catalogue
from tritone.contract import TranscriptionOptions
from tritone.descriptions import TranscriptionDescription
from tritone.errors import TritoneError
from tritone.languages import NAMES
from tritone.served import MODEL, Description, GpuMemory, ModelState, ServedDocument, ServedModel, ServerState

Tensors = Mapping[str, NDArray[Any]]

CREATED = 1_790_000_000
"""Unix seconds of every model's first load."""
TRANSCRIPTION = TranscriptionDescription(
    tuple(NAMES),
    ("transcribe", "translate"),
    tuple(name for name in TranscriptionOptions.types() if name not in ("describe", "partial_text")),
)
"""A transcription model that supports everything."""


@dataclass
class Call:
    """One request as the fake received it."""

    model: str
    request_id: str
    inputs: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    timeout: float | None = None
    """Seconds; the real server, too, does not show it among the parameters."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client cancels the call, or disconnects, before its end."""


class Status(Exception):
    """Raised by a handler to break the call itself, as a lost connection does."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        super().__init__(details)
        self.code = code
        self.details = details


Handler = Callable[[Call], Iterable[Tensors] | AsyncIterator[Tensors]]
"""A model: yields its responses, or raises a `TritoneError` or a `Status`. Its attribute `description`, if it has one,
stands in the document."""


async def _nothing(_model: str) -> None:
    pass


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`async with FakeTriton({"kokoro-82m": handler}) as triton:` serves on `triton.address`.

    `calls` holds the requests in order, without those for the document. The document lists the models of `handlers`;
    `states` holds those that are not ready, `overrides` further changes. After a change, call `publish`. Every stream
    ends with an empty final response, as those of Triton's decoupled models do.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.handlers = dict(handlers)
        self.states: dict[str, ModelState] = {}
        self.overrides: dict[str, dict[str, Any]] = {}
        self.state: ServerState = "serving"
        self.gpus: tuple[GpuMemory, ...] = ()
        self.calls: list[Call] = []
        self.on_want: Callable[[str], Awaitable[None]] = _nothing
        """Called with each model that a client wants to be loaded."""
        self.forgotten: list[str] = []
        """The keys of voices to forget, in order."""
        self.address = ""
        self._host, self._port = host, port
        self._server = grpc.aio.server()
        self._stopped = False
        self._document = ServedDocument("starting", ())
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"{self._host}:{self._server.add_insecure_port(f'{self._host}:{self._port}')}"
        await self.publish()
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Break every connection; a second call has no effect."""
        if not self._stopped:
            self._stopped = True
            await self._server.stop(None)

    @property
    def version(self) -> int:
        """The document's version."""
        return self._document.version

    async def publish(self) -> None:
        """Send a new document to the gateways, if it has changed."""
        models = tuple(self._served(id_) for id_ in sorted(self.handlers, key=_rank))
        changed = ServedDocument(self.state, models, self.version, self.gpus)
        if changed != self._document:
            async with self._changed:
                self._document = replace(changed, version=self.version + 1)
                self._changed.notify_all()

    def _served(self, id_: str) -> ServedModel:
        model = _catalogue().models.get(id_)
        described: Description | None = getattr(self.handlers[id_], "description", None)
        if described is None and (model is None or model.kind == "transcription"):
            described = TRANSCRIPTION
        served = ServedModel(
            id_,
            model.kind if model else "transcription",
            model.mode if model else "transcribe",
            model.owner if model else "tests",
            self.states.get(id_, "ready"),
            aliases=_catalogue().ranks(id_),
            voice_aliases=model.voice_aliases if model else {},
            description=described,
            created=CREATED,
            loads=1,
        )
        return replace(served, **self.overrides.get(id_, {}))

    async def ModelStreamInfer(self, requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async for request in requests:
            assert request.parameters["triton_enable_empty_final_response"].bool_param
            final = service_pb2.ModelStreamInferResponse(infer_response=_response(request, {}))
            final.infer_response.parameters["triton_final_response"].bool_param = True
            try:
                async for tensors in self._answer(request):
                    yield service_pb2.ModelStreamInferResponse(infer_response=_response(request, tensors))
            except TritoneError as error:
                # The real server, too, sends only the text.
                final.error_message = str(error)
            except Status as error:
                await context.abort(error.code, error.details)
            yield final

    async def _answer(self, request: Any) -> AsyncIterator[Tensors]:
        parameters = _parameters(request)
        microseconds = parameters.pop("timeout", None)
        timeout = None if microseconds is None else microseconds / 1e6
        if request.model_name == MODEL:
            yield {"document": np.array([await self._poll(**parameters)], np.object_)}
            return
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

    async def _poll(
        self, version: int = -1, wait_seconds: float = 0.0, load: str = "", forget_voice: str = ""
    ) -> bytes:
        if forget_voice:
            self.forgotten.append(forget_voice)
        if load:
            await self.on_want(load)
        async with self._changed:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait_for(lambda: self.version != version or self.state == "stopping")
            except TimeoutError:
                pass
            return self._document.to_json().encode()


@cache
def _catalogue() -> Catalogue:
    return Catalogue.load({})


def _rank(id_: str) -> tuple[int, str]:
    """The catalogue's order; unknown ids come last."""
    ids = list(_catalogue().models)
    return (ids.index(id_) if id_ in ids else len(ids), id_)


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
