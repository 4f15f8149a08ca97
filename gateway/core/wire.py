"""Requests, responses and errors as Triton's gRPC protocol carries them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from gateway.core.errors import (
    DeadlineExceeded,
    InternalError,
    ModelAtCapacity,
    ModelNotLoaded,
    ServerUnreachable,
    ServiceError,
    VoiceNotHeld,
)
from tritone.contract import INTERFACES
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded, UnknownVoice, from_text
from tritone.options import Value

Tensors = dict[str, NDArray[Any]]

_FIELDS: Final = {tensor.name for interface in INTERFACES.values() for tensor in interface.inputs} | {
    option.name for interface in INTERFACES.values() for option in dataclasses.fields(interface.options)
}
"""The fields that a model may reject."""
_REQUEST_ID: Final = re.compile(r"^\[request id: [^]]*\] ")
"""Triton puts the request's id before some error texts."""
_NOT_LOADED: Final = ("Request for unknown model", "Stub process")
"""The beginnings of Triton's error texts for a model that is not loaded, and for a stub process that died."""


def inference_request(
    model: str, inputs: Mapping[str, NDArray[Any]], parameters: Mapping[str, Value], request_id: str = ""
) -> Any:
    """Return the wire form of a request; arrays of `bytes` objects are BYTES tensors."""
    request = service_pb2.ModelInferRequest(model_name=model, id=request_id)
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


def response_tensors(response: Any) -> Tensors:
    """Return the outputs of a response by name; BYTES become arrays of `bytes` objects."""
    tensors: Tensors = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.datatype == "BYTES":
            array = deserialize_bytes_tensor(raw)
        else:
            array = np.frombuffer(raw, dtype=triton_to_np_dtype(output.datatype))
        tensors[output.name] = array.reshape(output.shape)
    return tensors


def error_from_text(text: str, model: str) -> ServiceError | InvalidInput:
    """Return the error that a model, or Triton itself, sent as text."""
    error = from_text(_REQUEST_ID.sub("", text))
    if isinstance(error, InvalidInput) and error.field in _FIELDS:
        return error
    if isinstance(error, Overloaded):
        message = f"model {model!r} is at capacity; try again"
        return ModelAtCapacity(message, retry_after=error.retry_after, detail=text)
    if isinstance(error, UnknownVoice):
        return VoiceNotHeld(text)
    if isinstance(error, DeadlinePassed):
        return DeadlineExceeded(f"model {model!r} did not finish in time", detail=text)
    if text.startswith(_NOT_LOADED):
        return ModelNotLoaded(f"model {model!r} is not loaded at present; try again", detail=text)
    return InternalError(text)


def error_from_status(error: grpc.aio.AioRpcError, model: str) -> ServiceError:
    """Return the error of a call that broke."""
    detail = f"{error.code().name}: {error.details()}"
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"model {model!r} did not answer in time", detail=detail)
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return ServerUnreachable(f"model {model!r} is out of reach at present; try again", detail=detail)
    return InternalError(detail)
