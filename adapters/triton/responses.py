"""Responses of any model: tensors by name, and the last response of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from adapters.triton.errors import to_triton
from tritone.contract import INTERFACES

_NUMPY: Mapping[str, type[np.generic]] = {
    "BYTES": np.object_,
    "FP32": np.float32,
    "INT16": np.int16,
    "INT32": np.int32,
}
_DTYPES = {
    tensor.name: _NUMPY[tensor.dtype]
    for interface in INTERFACES.values()
    for tensor in (*interface.outputs, *interface.final_outputs)
}


def response_of(outputs: Mapping[str, Any]) -> Any:
    """Return a response with these output tensors of the contract; a value may be a list of numbers or of bytes."""
    tensors = [pb_utils.Tensor(name, np.asarray(values, dtype=_DTYPES[name])) for name, values in outputs.items()]
    return pb_utils.InferenceResponse(output_tensors=tensors)


def send_final(sender: Any, response: Any | None, request_id: str) -> None:
    """End a request, with `response` or without one. Never raises: a failure to send is logged."""
    sent = [] if response is None else [response]
    try:
        sender.send(*sent, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    except Exception as error:
        pb_utils.Logger.log_error(f"request {request_id or '-'}: the last response could not be sent: {error}")


def send_error(sender: Any, error: BaseException, request_id: str) -> None:
    """End a request with an error. Never raises."""
    send_final(sender, pb_utils.InferenceResponse(error=to_triton(error, request_id)), request_id)
