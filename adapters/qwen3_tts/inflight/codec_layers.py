"""The codec decoder's layers, on a chunk of each of some streams.

Everything is (streams, time, channels). To a convolution that is an image of height 1 in the channels-last format, so
nothing is ever transposed, and a transposed convolution is one with more channels, read as more time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adapters.qwen3_tts.inflight.codec_state import Past

_ALIGNED = 8
"""Rows of a mask lie this many numbers apart, or a multiple: a GPU's attention copies any other before it reads it."""


@dataclass(frozen=True, eq=False)
class Linear:
    """x W^T + b."""

    weight: Tensor
    """(out, in)."""
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return F.linear(x, self.weight, self.bias)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """Add what `x` becomes to `residual`, both (..., channels), and return it; without a bias in one operation."""
        if self.bias is not None:
            return residual.add_(self(x))
        residual.view(-1, residual.shape[-1]).addmm_(x.flatten(0, -2), self.weight.t())
        return residual


@dataclass(frozen=True, eq=False)
class SnakeBeta:
    """x + m sin(f x)^2, with a frequency and a magnitude a channel; in float32 or better, and rounded once."""

    frequency: Tensor
    magnitude: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Shapes stay."""
        wave = (x * self.frequency).sin_()
        return torch.addcmul(x, wave.square_(), self.magnitude).to(x.dtype)


@dataclass(frozen=True, eq=False)
class CausalConv:
    """A convolution that sees the present and the past."""

    weight: Tensor
    """(out, in, 1, taps), channels last; the last tap is the present."""
    bias: Tensor | None
    part: int
    """Of the state: the last `reach` inputs."""
    dilation: int = 1
    before: SnakeBeta | None = None
    """What the input goes through first."""

    @property
    def reach(self) -> int:
        """How many inputs before the present one it sees."""
        return int(self.weight.shape[-1] - 1) * self.dilation

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """(streams, time, in) to (streams, time, out)."""
        whole = past.extend(self.part, x, self.before)
        return _as_sequence(F.conv2d(_as_image(whole), self.weight, self.bias, dilation=(1, self.dilation)))


@dataclass(frozen=True, eq=False)
class NormedDepthwise:
    """A causal convolution of each channel by itself, and then a layer norm without weights."""

    weight: Tensor
    """(taps, channels); the last tap is the present."""
    bias: Tensor
    part: int
    """Of the state: the last `reach` inputs."""
    eps: float

    @property
    def reach(self) -> int:
        """How many inputs before the present one it sees."""
        return len(self.weight) - 1

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Shapes stay."""
        channels = x.shape[-1]
        weight = self.weight.t()[:, None, None]
        image = _as_image(past.extend(self.part, x))
        return F.layer_norm(
            _as_sequence(F.conv2d(image, weight, self.bias, groups=channels)), (channels,), eps=self.eps
        )


@dataclass(frozen=True, eq=False)
class ConvNeXt:
    """A depthwise convolution, then a feed-forward layer for every moment; the norm's weights are in `widen`."""

    depthwise: NormedDepthwise
    widen: Linear
    narrow: Linear

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """In place."""
        return self.narrow.add_to(x, F.gelu(self.widen(self.depthwise(x, past))))


@dataclass(frozen=True, eq=False)
class ResidualUnit:
    """Two convolutions, the second of one tap."""

    wide: CausalConv
    between: SnakeBeta
    narrow: Linear

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """In place."""
        return self.narrow.add_to(x, self.between(self.wide(x, past)))


@dataclass(frozen=True, eq=False)
class DecoderBlock:
    """Upsampling by `rate`, and residual units of growing reach."""

    expand: CausalConv
    rate: int
    units: tuple[ResidualUnit, ...]

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """(streams, time, channels) to (streams, time * rate, channels / 2)."""
        x = upsampled(self.expand(x, past), self.rate)
        for unit in self.units:
            x = unit(x, past)
        return x


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What all transformer layers share for one chunk: where its frames stand, and what they see."""

    cos: Tensor
    """(streams, time, 1, head width)."""
    sin: Tensor
    """As `cos`; of the first half of a head negative."""
    mask: Tensor
    """Added to attention scores, (streams, 1, time, window - 1 + time)."""


@dataclass(frozen=True, eq=False)
class TransformerLayer:
    """Attention to a window, and a gated feed-forward layer; norms' weights and layer scales are in the matrices."""

    qkv: Linear
    out: Linear
    gate_up: Linear
    down: Linear
    heads: int
    key_value_heads: int
    head_dim: int
    eps: float
    part: int
    """Of the state: keys, already rotated, and values of the last window - 1 frames."""

    def __call__(self, x: Tensor, around: Surroundings, past: Past) -> Tensor:
        """Of `x` (streams * time, channels), in place."""
        streams, time = around.cos.shape[:2]
        qkv = self.qkv(_rms_norm(x, self.eps)).view(streams, time, -1, self.head_dim)
        rotated = qkv[:, :, : self.heads + self.key_value_heads]
        halves_swapped = rotated.roll(self.head_dim // 2, dims=-1)
        rotated.mul_(around.cos).addcmul_(halves_swapped, around.sin)
        keys, values = (
            past.extend(self.part, qkv[:, :, self.heads :].flatten(2))
            .unflatten(2, (2, self.key_value_heads, self.head_dim))
            .permute(2, 0, 3, 1, 4)
        )
        seen = F.scaled_dot_product_attention(
            qkv[:, :, : self.heads].transpose(1, 2),
            keys,
            values,
            attn_mask=around.mask,
            enable_gqa=self.heads != self.key_value_heads,
        )
        x = self.out.add_to(x, seen.transpose(1, 2).reshape(streams * time, -1))
        gate, up = self.gate_up(_rms_norm(x, self.eps)).chunk(2, dim=-1)
        return self.down.add_to(x, F.silu(gate) * up)


@dataclass(frozen=True, eq=False)
class Transformer:
    """Layers, then a norm; its weight is in the layer behind."""

    layers: tuple[TransformerLayer, ...]
    rotation: Tensor
    """Radians a frame of each number of a head, (head width,) float32; of the first half negative."""
    window: int
    """Frames that a frame sees, itself included."""

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """`x` is (streams, time, channels)."""
        around = self._surroundings(past.start, x.shape[1], x.dtype)
        flat = x.flatten(0, 1)
        for layer in self.layers:
            flat = layer(flat, around, past)
        return _rms_norm(flat, self.layers[-1].eps).view(x.shape)

    def _surroundings(self, start: Tensor, time: int, dtype: torch.dtype) -> Surroundings:
        before = self.window - 1
        seen = before + time
        frame = torch.arange(time, device=start.device)[:, None]
        key = torch.arange(-(-seen // _ALIGNED) * _ALIGNED, device=start.device) - before  # 0: the chunk's first frame
        angles = (start[:, None, None, None] + frame[:, None]) * self.rotation
        hidden = (key > frame) | (key <= frame - self.window)
        not_begun = start[:, None] + key < 0
        mask = torch.zeros(len(start), 1, time, len(key), device=start.device, dtype=dtype)
        mask.masked_fill_(not_begun[:, None, None] | hidden, -torch.inf)
        return Surroundings(angles.cos().to(dtype), angles.sin().to(dtype), mask[..., :seen])


def upsampled(x: Tensor, rate: int) -> Tensor:
    """Channels read as time: (streams, time, rate * channels) becomes (streams, time * rate, channels)."""
    return x.reshape(x.shape[0], x.shape[1] * rate, -1)


def _as_image(x: Tensor) -> Tensor:
    """(streams, time, channels) as (streams, channels, 1, time), channels last."""
    return x.transpose(1, 2).unsqueeze(2)


def _as_sequence(image: Tensor) -> Tensor:
    """What `_as_image` was made of."""
    return image.squeeze(2).transpose(1, 2)


def _rms_norm(x: Tensor, eps: float) -> Tensor:
    """In float32, whatever `x` is, as in the package; of what is narrower torch widens it itself."""
    wide = x.float() if x.dtype == torch.float64 else x
    return F.rms_norm(wide, x.shape[-1:], eps=eps).to(x.dtype)
