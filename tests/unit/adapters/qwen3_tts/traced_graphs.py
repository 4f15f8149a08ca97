"""CUDA graphs without CUDA: each run checks the conditions under which a replay would be right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only
from triton.runtime.interpreter import GridExecutor

from adapters.qwen3_tts.inflight.device.graphs import Graphs

T = TypeVar("T")

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique2"}
"""Operations whose result the host needs at once: no graph can hold them."""


class TracedGraphs(Graphs):
    """Runs the work every time, and rejects work that a replay would not have repeated.

    Replays launch the same kernels on the same memory. So work of one key must consist of the same operations on
    tensors of the same shapes, with external tensors at the same addresses, and with the same numbers among the
    arguments. Its result is as short-lived as a graph's: other work overwrites it.
    """

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.enabled = True
        self.traces: dict[Hashable, list[tuple[object, ...]]] = {}
        """For each key, the operations with their arguments."""
        self._results: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.traces)

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Run the work: as often as a capture would at first, later once, into the memory of the first result."""
        if key not in self.traces:
            work()
        with _Trace() as trace, _launches_seen_by(trace):
            result = work()
        expected = self.traces.setdefault(key, trace.operations)
        for number, (operation, first) in enumerate(zip(trace.operations, expected, strict=False)):
            assert operation == first, f"operation {number} of {key} is {operation}; it was captured as {first}"
        assert len(trace.operations) == len(expected)
        for other in self._results.values():
            tree_map_only(Tensor, _spoil, other)
        kept = self._results.setdefault(key, result)
        if kept is not result:
            for mine, new in zip(tree_leaves(kept), tree_leaves(result), strict=True):
                if isinstance(mine, Tensor):
                    mine.copy_(new)
        return kept  # type: ignore[no-any-return]


def _spoil(tensor: Tensor) -> None:
    tensor.fill_(torch.nan if tensor.is_floating_point() else 1)


class _Trace(TorchDispatchMode):
    """Records operations. Tensors that are made meanwhile are known by a number, others by their address."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[object, ...]] = []
        self._made: dict[int, int] = {}
        self._kept: list[Tensor] = []  # so that no address is used twice

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        assert name not in WAITING, f"{name} waits for the device"
        entry = self.entry(name, (args, kwargs))
        result = func(*args, **(kwargs or {}))
        inputs = {_address(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and _address(made) not in inputs:
                self._made.setdefault(_address(made), len(self._made))
                self._kept.append(made)
        self.operations.append(entry)
        return result

    def entry(self, name: str, arguments: object) -> tuple[object, ...]:
        """Describe an operation before it is done, when its result does not exist yet."""
        return (name, *(self._described(argument) for argument in tree_leaves(arguments)))

    def _described(self, argument: object) -> object:
        if not isinstance(argument, Tensor):
            return argument
        address = _address(argument)
        source = ("made", self._made[address]) if address in self._made else ("outside", address)
        return (*source, argument.storage_offset(), tuple(argument.shape), argument.stride(), argument.dtype)


@contextmanager
def _launches_seen_by(trace: _Trace) -> Iterator[None]:
    """Record kernels of the Triton language too, which torch does not see; the interpreter runs them."""
    interpreted = GridExecutor.__call__

    def launch(executor: GridExecutor, *args: Any, **kwargs: Any) -> None:
        trace.operations.append(trace.entry(f"kernel {executor.fn.__name__}", (executor.grid, args, kwargs)))
        with _disable_current_modes():
            interpreted(executor, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GridExecutor, "__call__", launch)
        yield


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
