"""A stand-in for the module that Triton's Python backend gives to a model, for tests without a server.

It has the names that the adapters use, and records log lines, metrics and responses. It proves nothing about Triton;
the tests in tests/e2e do.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1


class TritonError(Exception):
    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        super().__init__(message)
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class Tensor:
    def __init__(self, name: str, values: NDArray[Any]) -> None:
        self._name, self._values = name, np.asarray(values)

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        return self._values


class InferenceResponse:
    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class ResponseSender:
    """The sender of a request; like the real one, it rejects any response after the final flag."""

    def __init__(self) -> None:
        self.sent: list[InferenceResponse] = []
        self.finals = 0
        self.cancelled = False
        self.ended = threading.Event()

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        if self.finals:
            raise TritonError("Unable to send response. Response sender has been closed.")
        if response is not None:
            self.sent.append(response)
        if flags == TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            self.finals += 1
            self.ended.set()

    def is_cancelled(self) -> bool:
        return self.cancelled


class InferenceRequest:
    """A request; its parameters are the JSON text that the backend gives."""

    def __init__(
        self, inputs: Mapping[str, NDArray[Any]], parameters: str = "", request_id: str = "", timeout: int = 0
    ) -> None:
        self._inputs = [Tensor(name, values) for name, values in inputs.items()]
        self._parameters, self._request_id, self._timeout = parameters, request_id, timeout
        self.sender = ResponseSender()
        self.cancelled = False

    def inputs(self) -> list[Tensor]:
        return self._inputs

    def parameters(self) -> str:
        return self._parameters

    def request_id(self) -> str:
        return self._request_id

    def timeout(self) -> int:
        """Return the timeout in microseconds; 0: none."""
        return self._timeout

    def get_response_sender(self) -> ResponseSender:
        return self.sender

    def is_cancelled(self) -> bool:
        return self.cancelled


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


class Logger:
    """Class-level, as in the backend; `lines` holds (level, message)."""

    lines: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def log_info(cls, message: str) -> None:
        cls.lines.append(("info", message))

    @classmethod
    def log_warn(cls, message: str) -> None:
        cls.lines.append(("warn", message))

    @classmethod
    def log_error(cls, message: str) -> None:
        cls.lines.append(("error", message))


class Metric:
    """A metric; `values` are its increments or observations. One that is `alive` when a real stub ends crashes it."""

    alive: ClassVar[weakref.WeakSet[Metric]] = weakref.WeakSet()

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        self.alive.add(self)
        self.name, self.labels = name, labels
        self.values: list[float] = []

    @classmethod
    def values_of(cls, name: str, **labels: str) -> list[float]:
        """Return the values of the one living metric of the family `name` that has these labels."""
        [metric] = [each for each in cls.alive if each.name == name and labels.items() <= each.labels.items()]
        return metric.values

    def increment(self, value: float) -> None:
        self.values.append(value)

    def observe(self, value: float) -> None:
        self.values.append(value)


class MetricFamily:
    COUNTER, GAUGE, HISTOGRAM = range(3)

    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name, self.kind = name, kind

    def Metric(self, labels: Mapping[str, str], buckets: Sequence[float] | None = None) -> Metric:
        return Metric(self.name, labels)
