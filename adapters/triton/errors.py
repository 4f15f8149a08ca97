"""Our errors as Triton's."""

from __future__ import annotations

import traceback

import triton_python_backend_utils as pb_utils

from tritone.errors import Cancelled, InvalidInput, Overloaded

_CODES = {
    InvalidInput: pb_utils.TritonError.INVALID_ARG,
    Overloaded: pb_utils.TritonError.UNAVAILABLE,
    Cancelled: pb_utils.TritonError.CANCELLED,
}


def to_triton(error: BaseException, request_id: str) -> pb_utils.TritonError:
    """The error to answer with: the caller's faults in words, our own logged whole and told in general."""
    code = _CODES.get(type(error))
    if code is not None:
        return pb_utils.TritonError(str(error), code)
    pb_utils.Logger.log_error(f"request {request_id or '-'}: {''.join(traceback.format_exception(error))}")
    return pb_utils.TritonError("the model failed on this request; its log says why", pb_utils.TritonError.INTERNAL)
