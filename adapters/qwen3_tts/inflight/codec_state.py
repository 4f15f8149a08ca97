"""What the codec remembers of each stream: the end of every causal layer's input, so that the next chunk joins on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from adapters.qwen3_tts.inflight.codec_layers import SnakeBeta


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


class Past:
    """The pasts of some streams while one chunk of each goes through the layers."""

    def __init__(self, arena: StateArena, slots: Tensor, frames: int) -> None:
        """Of `slots`, (n,) int64, for their next `frames`. Of a slot that is named twice, any row stays."""
        self.start = arena.frames.index_select(0, slots)
        """The frame, (n,) int64, with which each stream's chunk begins."""
        arena.frames.index_copy_(0, slots, self.start + frames)
        self._arena = arena
        self._slots = slots
        self._tails = arena.tails

    def extend(self, part: int, x: Tensor, before: SnakeBeta | None = None) -> Tensor:
        """`x` (n, time, width), through `before`, behind what came before it, (n, length + time, width).

        Its end is kept for next time.
        """
        whole = self._joined(part, x, before)
        self._tails[part].index_copy_(0, self._slots, whole[:, x.shape[1] :])
        return whole

    def _joined(self, part: int, x: Tensor, before: SnakeBeta | None) -> Tensor:
        return torch.cat((self._taken[part], before(x) if before else x), dim=1)

    @cached_property
    def _taken(self) -> Sequence[Tensor]:
        """All parts at once, before the first of them changes."""
        return self._arena.divided(self._arena.values.index_select(0, self._slots))
