"""Counts of torch operations."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_VIEWS = {
    "view", "_unsafe_view", "expand", "slice", "transpose", "unsqueeze", "squeeze", "select", "t", "permute", "alias",
    "split", "as_strided", "reshape", "detach", "unbind", "split_with_sizes", "lift_fresh",
}  # fmt: skip
"""Operations that move no data."""


class OperationCounter(TorchDispatchMode):
    """Counts the operations that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name.split("::")[1] not in _VIEWS
        return func(*args, **(kwargs or {}))
