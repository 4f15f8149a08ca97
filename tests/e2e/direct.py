"""Calls to Triton over gRPC with nothing but tritonclient, as internal services make them."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

Outputs = dict[str, np.ndarray]

DEADLINE = 300


def tensor(name: str, values: np.ndarray) -> triton.InferInput:
    """Return an input tensor; text is an array of objects."""
    created = triton.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    return created.set_data_from_numpy(values)


def outputs_of(result: triton.InferResult) -> Outputs:
    """Return the output tensors of a response by name."""
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


class Stream:
    """A call of a decoupled model. Iterate over it for the outputs of each response; an error is raised."""

    def __init__(
        self, client: triton.InferenceServerClient, name: str, inputs: Mapping[str, np.ndarray], **parameters: Any
    ) -> None:
        self._answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
        self._client = client
        client.start_stream(callback=lambda result, error: self._answers.put((result, error)))
        client.async_stream_infer(
            name,
            [tensor(name, values) for name, values in inputs.items()],
            enable_empty_final_response=True,
            parameters=parameters,
        )

    def __iter__(self) -> Iterator[Outputs]:
        while True:
            result, error = self._answers.get(timeout=DEADLINE)
            if error is not None:
                self._client.stop_stream()
                raise error
            if outputs := outputs_of(result):
                yield outputs
            if result.get_response().parameters["triton_final_response"].bool_param:
                self._client.stop_stream()
                return

    def cancel(self) -> None:
        """Cancel the call."""
        self._client.stop_stream(cancel_requests=True)
