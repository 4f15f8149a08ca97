"""Our errors as Triton's."""

from __future__ import annotations

import traceback

import triton_python_backend_utils as pb_utils

from tritone.errors import Cancelled, DeadlinePassed, InvalidInput, Overloaded

_CODES = {
    InvalidInput: "INVALID_ARG",
    Overloaded: "UNAVAILABLE",
    DeadlinePassed: "CANCELLED",  # Triton has no code of its own for it
    Cancelled: "CANCELLED",
}
"""By name, because the stub gives its module `TritonError` only after it has imported the model."""


def to_triton(error: BaseException, request_id: str) -> pb_utils.TritonError:
    """The error to answer with: the caller's faults in words, our own logged whole and told in general."""
    code = _CODES.get(type(error))
    if code is not None:
        return pb_utils.TritonError(str(error), getattr(pb_utils.TritonError, code))
    pb_utils.Logger.log_error(f"request {request_id or '-'}: {''.join(traceback.format_exception(error))}")
    return pb_utils.TritonError("the model failed on this request; its log says why", pb_utils.TritonError.INTERNAL)
