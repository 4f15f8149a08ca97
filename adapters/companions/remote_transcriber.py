"""Calls of a transcription model by another model of the server."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from tritone import errors
from tritone.contract import TRANSCRIPTION, TranscriptionOptions
from tritone.transcript import Transcript
from tritone.windowing import Samples

TranscribeRemotely = Callable[[str, Samples, TranscriptionOptions, str, float], Transcript]
"""The model's id, the samples, the options, the request's id and the seconds that it may take to the transcript."""

_OUTPUTS = [tensor.name for tensor in TRANSCRIPTION.outputs if tensor.name != "description"]


def transcribe_remotely(
    model: str, samples: Samples, options: TranscriptionOptions, request_id: str, timeout: float
) -> Transcript:
    """Return the transcript of one window; raises the model's error as one of `tritone.errors`, or `RuntimeError`.

    `timeout`: the seconds after which nobody needs the transcript any more; infinite for a request without a limit.
    Such a call has no priority in Triton 2.51: it gets the default, that of a recording's later windows.
    """
    responses = pb_utils.InferenceRequest(
        model_name=model,
        request_id=request_id,
        requested_output_names=_OUTPUTS,
        timeout=0 if timeout == math.inf else max(1, round(timeout * 1e6)),
        inputs=[pb_utils.Tensor("audio", samples[np.newaxis])],
        parameters={name: _wire(value) for name, value in options.to_parameters().items()},
    ).exec(decoupled=True)  # which is right for models with one response, too
    columns: dict[str, NDArray[Any]] = {}
    for response in responses:
        if response.has_error():
            message = response.error().message()
            raise errors.from_text(message) or RuntimeError(f"{model}: {message}")
        columns |= {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    return Transcript.from_columns(columns)


def is_ready(model: str) -> bool:
    """Return whether the server has this model loaded."""
    return bool(pb_utils.is_model_ready(model))


def _wire(value: str | bool | int | float) -> str | bool | int:
    """Return a parameter that such a call accepts: floating-point numbers go as text."""
    return str(value) if isinstance(value, float) else value
