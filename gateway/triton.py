"""The gateway's one gRPC client: every request to a model goes through here."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

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

from gateway.errors import ApiError, BadRequest, GatewayTimeout, ServerError, Unavailable
from tritone.contract import INTERFACES, SpeechDescription, SpeechOptions
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded, from_text
from tritone.options import Value

Tensors = dict[str, NDArray[Any]]

_OPTIONS = [
    # gRPC's own limit is 4 MB.
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    # The servers are ours: a proxy of the environment, as Docker hands it to every container, does not know them.
    ("grpc.enable_http_proxy", 0),
    # A server that died without a word is noticed within half a minute, and one that came back within two seconds.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A `dns:///` name that stands for several servers: a connection to each.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
]
_DESCRIPTION_SECONDS = 60.0
"""How long a model's description holds: its server may come back with another checkpoint, other voices."""
_PROBE_TIMEOUT = 5.0
"""Seconds that a question about a model's state may take."""
_LOOK = 0.5
"""Seconds between two looks whether a model that has calls is there; to load one again takes longer."""
_PATIENCE = 10.0
"""Seconds that a call may be silent whose model was taken away: another of the model's processes may be speaking it."""
_FIELDS = {tensor.name for interface in INTERFACES.values() for tensor in interface.inputs} | {
    option.name for interface in INTERFACES.values() for option in dataclasses.fields(interface.options)
}
"""What a model may find fault with."""
_DEAD = "Stub process"
"""How Triton's words begin where the process that a model ran in has died."""
_HTTP_NAMES = {"text": "input", "audio": "file"}
"""A tensor's name -> the field of the HTTP request that fills it."""

logger = logging.getLogger(__name__)


class Triton:
    """Connections to one or more Triton servers, used in turn.

    Every method raises an `ApiError` for what Triton answers, and cancels its call in Triton when its task is
    cancelled.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for address in addresses]
        self._stubs = [service_pb2_grpc.GRPCInferenceServiceStub(channel) for channel in self._channels]
        self._turns = itertools.cycle(range(len(addresses)))
        self._descriptions: dict[str, tuple[float, SpeechDescription]] = {}
        self._looks: dict[tuple[Any, str], asyncio.Task[bool]] = {}

    async def close(self) -> None:
        """Close every connection."""
        for look in self._looks.values():
            look.cancel()
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Value],
        *,
        request_id: str,
        priority: int = 0,
        timeout: float,  # noqa: ASYNC109 - the call's deadline, which Triton is told
    ) -> Tensors:
        """Ask a model that gives one answer; shapes go out as they are, the batch dimension included.

        `priority` is Triton's, 1 the highest, 0 the model's default; `timeout` is in seconds.
        """
        request = _request(model, inputs, parameters, request_id)
        if priority:
            request.parameters["priority"].uint64_param = priority
        (answer,) = [tensors async for tensors in self._ask(request, timeout)]
        return answer

    def stream(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Value],
        *,
        request_id: str,
        timeout: float,
    ) -> AsyncGenerator[Tensors]:
        """Ask a decoupled model; the last of the answers carries the interface's `final_outputs`.

        Close the generator (`contextlib.aclosing`) to cancel the call in Triton.
        """
        return self._ask(_request(model, inputs, parameters, request_id), timeout)

    async def _ask(self, request: Any, timeout: float) -> AsyncGenerator[Tensors]:  # noqa: ASYNC109
        """Send one request on a stream of its own, whether one answer comes or many.

        The model is told the deadline too: it may then drop the request before gRPC does, or not even begin.

        Triton 2.51 crashes, all models with it, when a plain `ModelInfer` is cancelled just as it ends, and when a
        stream that asked for real statuses (`triton_grpc_error`) ends in an error. Plain streams stand both. It also
        keeps a model loaded for ever whose stream is left between an error and its end, and never ends those that a
        dead process was answering: here they end when the model was taken away to be loaded again.
        """
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        request.parameters["timeout"].int64_param = round(timeout * 1e6)
        stub = self._stub()
        call = stub.ModelStreamInfer(iter([request]), timeout=timeout)
        answers = 0
        loss = asyncio.create_task(self._lost(stub, request.model_name, lambda: answers))
        loss.add_done_callback(lambda _: call.cancel())
        final = False
        failure = None
        try:
            async for response in call:
                answers += 1
                if response.error_message:
                    failure = _from_text(response.error_message, request.model_name)
                elif tensors := _tensors(response.infer_response):
                    yield tensors
                final = response.infer_response.parameters["triton_final_response"].bool_param
        except grpc.aio.AioRpcError as error:
            raise _from_status(error, request.model_name) from error
        except asyncio.CancelledError:
            if not loss.done():
                raise
            raise _from_text(f"{_DEAD} fell silent", request.model_name) from None
        finally:
            loss.cancel()
            call.cancel()
        if failure:
            raise failure
        if not final:
            logger.error("%s ended its stream without a final response", request.model_name)
            raise ServerError

    async def _lost(self, stub: Any, model: str, answers: Callable[[], int]) -> None:
        """Return when `model` was taken from the server of `stub`, and the count of `answers` stands still since."""
        while True:
            while await self._serves(stub, model):
                pass
            before = answers()
            await asyncio.sleep(_PATIENCE)
            if answers() == before:
                return

    async def _serves(self, stub: Any, model: str) -> bool:
        """Return whether the server of `stub` serves `model`, after the next look; all calls of a model share one.

        A look that is done is never awaited again: that would return without a turn of the event loop, and a caller
        that loops would stop the loop for good.
        """
        key = stub, model
        look = self._looks.get(key)
        if look is None or look.done():
            look = self._looks[key] = asyncio.create_task(_look(stub, model))
        return await asyncio.shield(look)

    async def ready(self, model: str) -> bool:
        """Whether any of the servers serves `model` now."""
        request = service_pb2.ModelReadyRequest(name=model)
        answers = await asyncio.gather(
            *(stub.ModelReady(request, timeout=_PROBE_TIMEOUT) for stub in self._stubs), return_exceptions=True
        )
        return any(not isinstance(answer, BaseException) and answer.ready for answer in answers)

    async def describe(self, model: str) -> SpeechDescription:
        """What a speech model says of itself, or said within the last minute; what it last said where it is silent."""
        if time.monotonic() >= self._descriptions.get(model, (0.0, None))[0]:
            try:
                await self._ask_description(model)
            except ApiError:
                if model not in self._descriptions:
                    raise
        return self._descriptions[model][1]

    async def _ask_description(self, model: str) -> None:
        answers = self.stream(
            model,
            {"text": np.array([b""], dtype=np.object_)},
            SpeechOptions(describe=True).to_parameters(),
            request_id="",
            timeout=_PROBE_TIMEOUT,
        )
        async for tensors in answers:
            if "description" in tensors:
                description = SpeechDescription.from_json(tensors["description"].item())
                self._descriptions[model] = time.monotonic() + _DESCRIPTION_SECONDS, description

    def _stub(self) -> Any:
        """The next server in turn that is not known to be out of reach."""
        for _ in self._channels:
            turn = next(self._turns)
            if self._channels[turn].get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return self._stubs[turn]
        return self._stubs[next(self._turns)]


async def _look(stub: Any, model: str) -> bool:
    """Whether the server of `stub` serves `model` a moment from now, as far as it tells."""
    await asyncio.sleep(_LOOK)
    try:
        answer = await stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=_PROBE_TIMEOUT)
    except grpc.aio.AioRpcError:
        return True  # what breaks the connection ends the calls too
    return bool(answer.ready)


def _request(model: str, inputs: Mapping[str, NDArray[Any]], parameters: Mapping[str, Value], id_: str) -> Any:
    """The wire form of a request; arrays of `bytes` objects are BYTES tensors."""
    request = service_pb2.ModelInferRequest(model_name=model, id=id_)
    for name, array in inputs.items():
        tensor = request.inputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        if tensor.datatype == "BYTES":
            request.raw_input_contents.append(serialize_byte_tensor(array).item())
        else:
            request.raw_input_contents.append(np.ascontiguousarray(array).tobytes())
    for name, value in parameters.items():
        match value:
            case bool():
                request.parameters[name].bool_param = value
            case int():
                request.parameters[name].int64_param = value
            case float():
                request.parameters[name].double_param = value
            case str():
                request.parameters[name].string_param = value
    return request


def _tensors(response: Any) -> Tensors:
    """The outputs of an answer by name; BYTES become arrays of `bytes` objects."""
    tensors: Tensors = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.datatype == "BYTES":
            array = deserialize_bytes_tensor(raw)
        else:
            array = np.frombuffer(raw, dtype=triton_to_np_dtype(output.datatype))
        tensors[output.name] = array.reshape(output.shape)
    return tensors


def _from_text(text: str, model: str) -> ApiError:
    """What the client is told of an error that a model, or Triton itself, sent as text."""
    # Triton sets the request's id before the words of some.
    error = from_text(re.sub(r"^\[request id: [^]]*\] ", "", text))
    if isinstance(error, InvalidInput) and error.field in _FIELDS:
        field = _HTTP_NAMES.get(error.field, error.field)
        return BadRequest(f"{field}: {error.problem}", param=field)
    if isinstance(error, Overloaded):
        logger.warning("%s is full: %s", model, error)
        told = f"model {model!r} takes no more requests at present; try again"
        return Unavailable(told, retry_after=error.retry_after)
    if isinstance(error, DeadlinePassed):
        logger.warning("%s did not finish: %s", model, error)
        return GatewayTimeout(f"model {model!r} did not finish in time")
    if text.startswith(("Request for unknown model", _DEAD)):
        logger.warning("%s is not loaded: %s", model, text)
        return Unavailable(f"model {model!r} is not loaded at present; try again")
    logger.error("%s failed: %s", model, text)
    return ServerError()


def _from_status(error: grpc.aio.AioRpcError, model: str) -> ApiError:
    """What the client is told of a call that broke; what it did not cause is logged whole."""
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return GatewayTimeout(f"model {model!r} did not answer in time")
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            logger.warning("%s is out of reach: %s", model, error.details())
            return Unavailable(f"model {model!r} is out of reach at present; try again")
    logger.error("%s failed: %s: %s", model, error.code().name, error.details())
    return ServerError()
