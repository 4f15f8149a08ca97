"""Tritone's errors as Triton's."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import triton_python_backend_utils as pb_utils

from tritone.errors import WIRE_ERRORS, Cancelled, Overloaded


def to_triton(error: BaseException, request_id: str) -> pb_utils.TritonError:
    """Return the error to send to the client.

    Errors of the contract keep their text. Any other error is logged with its traceback, and the client gets a general
    text.
    """
    if isinstance(error, WIRE_ERRORS):
        # By name, because the stub adds `TritonError` to its module only after it has imported the model.
        return pb_utils.TritonError(str(error), getattr(pb_utils.TritonError, error.triton_code))
    pb_utils.Logger.log_error(f"request {request_id or '-'}: {''.join(traceback.format_exception(error))}")
    return pb_utils.TritonError("the model failed on this request; see the server's log", pb_utils.TritonError.INTERNAL)


def shutting_down() -> Overloaded:
    """Return the error of a request to a model that is being unloaded."""
    return Overloaded("the model is shutting down; try another server")


def exit_without_gpu(exit_process: Callable[[int], object] = os._exit) -> None:
    """End this process, whose GPU is lost, after its last responses; the supervisor loads the model again."""
    pb_utils.Logger.log_error("CUDA device lost, exiting")
    exit_process(1)


def client_left() -> Cancelled:
    """Return the error of a request that its client has cancelled."""
    return Cancelled("the client has left")
