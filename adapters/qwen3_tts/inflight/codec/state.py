"""The codec's state of each stream: the end of every causal layer's input, from which the next chunk continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adapters.inflight.cuda_streams import hold_for_stream

if TYPE_CHECKING:
    from adapters.qwen3_tts.inflight.codec.layers import SnakeBeta


@dataclass(frozen=True, eq=False)
class CodecState:
    """The state of a stream, apart from any slot. It is immutable, and may be restored any number of times."""

    values: Tensor
    """(numbers,), in the layout of `StateArena`."""
    frames: Tensor
    """() int64: the number of decoded frames."""

    @property
    def nbytes(self) -> int:
        """The memory of the tensors."""
        return int(self.values.nbytes + self.frames.nbytes)


class Layout:
    """The layout of an arena row. Layers reserve their parts while they are built."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def reserve(self, length: int, width: int) -> int:
        """Reserve a part for the last `length` inputs of `width` channels. Return its number."""
        self.shapes.append((length, width))
        return len(self.shapes) - 1


class StateArena:
    """The states of `slots` streams. A new stream starts with zeros, as the decoder pads."""

    def __init__(self, layout: Layout, slots: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self._shapes = layout.shapes
        numbers = sum(length * width for length, width in layout.shapes)
        self.values = torch.zeros(slots, numbers, device=device, dtype=dtype)
        self.frames = torch.zeros(slots, device=device, dtype=torch.int64)
        self.tails = self.divided(self.values)
        """Views (slots, length, width) of `values`, by part."""

    def divided(self, values: Tensor) -> list[Tensor]:
        """Views (rows, length, width) of rows of numbers, by part."""
        parts = values.split([length * width for length, width in self._shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def save(self, slot: int) -> CodecState:
        """Return a copy of a slot's state."""
        return CodecState(self.values[slot].clone(), self.frames[slot].clone())

    def restore(self, slot: int, state: CodecState | None) -> None:
        """Restore a saved state into a slot; None: the state of a new stream."""
        if state is None:
            self.values[slot].zero_()
            self.frames[slot].zero_()
            return
        for mine, saved in ((self.values, state.values), (self.frames, state.frames)):
            mine[slot].copy_(saved)
            hold_for_stream(saved)


class Past:
    """The earlier inputs of some streams, while one chunk of each goes through the layers."""

    def __init__(self, arena: StateArena, slots: Tensor, frames: int) -> None:
        """`slots` (n,) int64, for their next `frames`. If a slot occurs twice, the state of one of its rows is kept."""
        self.start = arena.frames.index_select(0, slots)
        """The number (n,) int64 of the first frame of each stream's chunk."""
        arena.frames.index_copy_(0, slots, self.start + frames)
        self._arena = arena
        self._slots = slots
        self._tails = arena.tails

    def extend(self, part: int, x: Tensor, activation: SnakeBeta | None = None) -> Tensor:
        """Return `x` (n, time, width), after `activation`, behind the earlier inputs: (n, length + time, width).

        The end of it becomes the new state.
        """
        whole = self._joined(part, x, activation)
        self._tails[part].index_copy_(0, self._slots, whole[:, x.shape[1] :])
        return whole

    def _joined(self, part: int, x: Tensor, activation: SnakeBeta | None) -> Tensor:
        return torch.cat((self._taken[part], activation(x) if activation else x), dim=1)

    @cached_property
    def _taken(self) -> Sequence[Tensor]:
        """All parts, gathered before the first of them changes."""
        return self._arena.divided(self._arena.values.index_select(0, self._slots))
