"""Kernels of the Triton language on the pretended GPU: the interpreter runs them, and a graph holds each launch.

Set TRITON_INTERPRET before the language is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from triton.runtime import interpreter

from tests.unit.pretended_cuda.driver import Driver, tensors_in
from tests.unit.pretended_cuda.tensors import CudaTensor, plain

_ONE_LAUNCH = threading.Lock()
"""The interpreter replaces the language's functions while a kernel runs."""


@contextmanager
def interpreted_kernels(driver: Driver) -> Iterator[None]:
    """Let launches accept tensors of the pretended GPU alone, in the order of its streams."""
    launch = interpreter.GridExecutor.__call__

    def run(executor: Any, *args: Any, **kwargs: Any) -> None:
        name = executor.fn.__name__
        given = tensors_in((args, kwargs.values()))
        host = [each.shape for each in given if not isinstance(each, CudaTensor)]
        if host:
            raise ValueError(f"{name} cannot access a tensor of the host: {host[0]}")

        def again(name: str) -> None:
            with _ONE_LAUNCH, torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
                written = _written(given, lambda: launch(executor, *_plain(args), **_plain_values(kwargs)))
                driver.run(name, given, written)

        again(name)
        if driver.is_capturing:
            assert driver.capturing is not None
            driver.capturing.operations.append(lambda: again(f"{name} in a graph"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.GridExecutor, "__call__", run)
        yield


def _written(tensors: Sequence[Tensor], work: Callable[[], object]) -> list[Tensor]:
    """Return the tensors that `work` changes: a kernel does not say what it writes to."""
    before = [_bytes(tensor) for tensor in tensors]
    work()
    return [tensor for tensor, old in zip(tensors, before, strict=True) if not torch.equal(_bytes(tensor), old)]


def _bytes(tensor: Tensor) -> Tensor:
    """Return a copy of the bytes of a tensor: NaN equals itself there."""
    return plain(tensor).clone(memory_format=torch.contiguous_format).flatten().view(torch.uint8)


def _plain(values: Sequence[Any]) -> list[Any]:
    return [plain(value) if isinstance(value, Tensor) else value for value in values]


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(values, _plain([*values.values()]), strict=True))
