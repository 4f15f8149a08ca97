"""Fused kernels between the codec's convolutions and matrices: one pass over memory instead of five to ten."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.layers import NormedDepthwise, SnakeBeta
from adapters.qwen3_tts.inflight.codec.state import Past

_BLOCK = 1024


class FusedPast(Past):
    """Reads the earlier inputs directly where they are joined with the current ones."""

    def _joined(self, part: int, x: Tensor, activation: FusedSnakeBeta | None) -> Tensor:  # type: ignore[override]
        return behind(self._tails[part], self._slots, x, activation)


@dataclass(frozen=True, eq=False)
class FusedSnakeBeta(SnakeBeta):
    """`SnakeBeta` of x + shift in one kernel. The shift costs nothing there."""

    shift: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the same shape as `x`."""
        return behind(None, None, x, self)


@dataclass(frozen=True, eq=False)
class FusedNormedDepthwise(NormedDepthwise):
    """`NormedDepthwise` in one kernel, without intermediate roundings."""

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Compute the same shape as `x`."""
        rows, time, channels = x.shape
        normed = torch.empty_like(x, memory_format=torch.contiguous_format)
        _normed_depthwise[(time, rows)](
            past.extend(self.part, x),
            self.weight,
            self.bias,
            normed,
            time,
            self.eps,
            TAPS=self.weight.shape[0],
            CHANNELS=channels,
            BLOCK=triton.next_power_of_2(channels),
            num_warps=4,
        )
        return normed


def behind(tails: Tensor | None, slots: Tensor | None, x: Tensor, snake: FusedSnakeBeta | None) -> Tensor:
    """Return `x` (rows, time, width), after `snake` if given, behind its rows' tails: (rows, length + time, width).

    `tails` (all slots, length, width), contiguous for each slot; `slots` (rows,) int64. Without them, return `x` alone.
    The computation is in float32, and rounded once.
    """
    rows, time, width = x.shape
    length = 0 if tails is None else tails.shape[1]
    whole = x.new_empty(rows, length + time, width)
    _behind[(triton.cdiv((length + time) * width, _BLOCK), rows)](
        tails,
        slots,
        x.contiguous(),
        None if snake is None else snake.frequency,
        None if snake is None else snake.magnitude,
        None if snake is None else snake.shift,
        whole,
        0 if tails is None else tails.stride(0),
        time,
        LENGTH=length,
        WIDTH=width,
        BLOCK=_BLOCK,
        num_warps=4,
    )
    return whole


@triton.jit(do_not_specialize=["time"])
def _behind(
    tails,
    slots,
    x,
    frequency,
    magnitude,
    shift,
    whole,
    slot_stride,
    time,
    LENGTH: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # in the row, which is contiguous
    inside = place < (LENGTH + time) * WIDTH
    present = place - LENGTH * WIDTH
    value = tl.load(x + row * time * WIDTH + present, inside & (present >= 0), 0.0)
    if frequency is not None:
        channel = place % WIDTH
        wide = value.to(tl.float32)
        if shift is not None:
            wide += tl.load(shift + channel)
        wave = _sine_squared(wide * tl.load(frequency + channel))
        value = (wide + wave * tl.load(magnitude + channel)).to(value.dtype)
    if tails is not None:
        slot = tl.load(slots + row)
        past = tl.load(tails + slot * slot_stride + place, present < 0, 0.0)
        value = tl.where(present < 0, past, value)
    tl.store(whole + row * (LENGTH + time) * WIDTH + place, value, inside)


@triton.jit
def _sine_squared(angle):
    """Return sin(angle)^2 to 1e-7, if the angle is as exact.

    The language's own sine takes three times the instructions.
    """
    turns = angle * 0.3183098861837907  # half turns; whole ones do not change the square
    turns -= tl.floor(turns + 0.5)
    square = turns * turns
    sine = -0.007370430945714350 * square + 0.08214588661112823  # Taylor series of sin(pi * turns)
    sine = sine * square - 0.5992645293207921
    sine = sine * square + 2.550164039877345
    sine = sine * square - 5.167712780049970
    sine = sine * square + 3.141592653589793
    sine *= turns
    return sine * sine


@triton.jit(do_not_specialize=["time"])
def _normed_depthwise(
    whole,
    weight,
    bias,
    normed,
    time,
    eps,
    TAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    moment, row = tl.program_id(0), tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    inside = channel < CHANNELS
    first = whole + (row * (TAPS - 1 + time) + moment) * CHANNELS + channel
    total = tl.load(bias + channel, inside, 0.0).to(tl.float32)
    for tap in tl.static_range(TAPS):
        factor = tl.load(weight + tap * CHANNELS + channel, inside, 0.0).to(tl.float32)
        total += tl.load(first + tap * CHANNELS, inside, 0.0).to(tl.float32) * factor
    centred = tl.where(inside, total - tl.sum(total, 0) / CHANNELS, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / CHANNELS + eps)
    place = (row * time + moment) * CHANNELS + channel
    tl.store(normed + place, (centred * scale).to(normed.dtype.element_ty), inside)
