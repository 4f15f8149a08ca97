"""What the codec remembers of each stream: the end of every causal layer's input, so that the next chunk joins on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CodecState:
    """A stream's whole past, apart from any slot. It is never changed, and may be restored any number of times."""

    values: Tensor
    """(numbers,), as `StateArena` lays them out."""
    frames: Tensor
    """() int64: how many frames have been decoded."""

    @property
    def nbytes(self) -> int:
        """The memory that it holds."""
        return int(self.values.nbytes + self.frames.nbytes)


class Layout:
    """How a row of the arena is divided. Layers reserve their parts while they are built."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def reserve(self, length: int, width: int) -> int:
        """Room for the last `length` inputs of `width` channels; returns the number by which it is used."""
        self.shapes.append((length, width))
        return len(self.shapes) - 1


class StateArena:
    """The states of `slots` streams. What precedes a stream's first frame is zeros, as the decoder pads."""

    def __init__(self, layout: Layout, slots: int, *, device: torch.device, dtype: torch.dtype) -> None:
        sizes = [length * width for length, width in layout.shapes]
        self.values = torch.zeros(slots, sum(sizes), device=device, dtype=dtype)
        self.frames = torch.zeros(slots, device=device, dtype=torch.int64)
        self._shapes = layout.shapes
        self._tails = _divided(self.values, layout.shapes)

    def save(self, slot: int) -> CodecState:
        """A copy of a slot's state."""
        return CodecState(self.values[slot].clone(), self.frames[slot].clone())

    def restore(self, slot: int, state: CodecState | None) -> None:
        """Put a saved state into a slot; None: that of a stream that has not begun."""
        if state is None:
            self.values[slot].zero_()
            self.frames[slot].zero_()
            return
        for mine, saved in ((self.values, state.values), (self.frames, state.frames)):
            mine[slot].copy_(saved)
            if saved.is_cuda:  # who forgets it meanwhile must not give its memory away before it is read
                saved.record_stream(torch.cuda.current_stream(saved.device))

    def open(self, slots: Tensor, frames: int) -> Past:
        """The pasts of `slots`, (n,) int64, for their next `frames`. Of a slot that is named twice, any row stays."""
        start = self.frames.index_select(0, slots)
        self.frames.index_copy_(0, slots, start + frames)
        return Past(start, slots, self._tails, _divided(self.values.index_select(0, slots), self._shapes))


class Past:
    """The pasts of some streams while one chunk of each goes through the layers."""

    def __init__(self, start: Tensor, slots: Tensor, tails: Sequence[Tensor], taken: Sequence[Tensor]) -> None:
        self.start = start
        """The frame, (n,) int64, with which each stream's chunk begins."""
        self._slots = slots
        self._tails = tails
        self._taken = taken

    def extend(self, part: int, x: Tensor) -> Tensor:
        """`x` (n, time, width) behind what came before it, (n, length + time, width); its end is kept for next time."""
        whole = torch.cat((self._taken[part], x), dim=1)
        self._tails[part].index_copy_(0, self._slots, whole[:, x.shape[1] :])
        return whole


def _divided(values: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Views (rows, length, width) of rows of numbers."""
    parts = values.split([length * width for length, width in shapes], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]
