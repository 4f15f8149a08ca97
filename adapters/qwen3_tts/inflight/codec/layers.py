"""Layers of the codec decoder, for one chunk of several streams.

All tensors are (streams, time, channels). A convolution sees them as an image of height 1 in the channels-last format,
so nothing is transposed. A transposed convolution is a convolution with more channels, read as more time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adapters.qwen3_tts.inflight.codec.state import Past

_ALIGNED = 8
"""Mask rows are a multiple of this many elements apart. A GPU's attention would copy any other mask."""


@dataclass(frozen=True, eq=False)
class Linear:
    """x W^T + b."""

    weight: Tensor
    """(out, in)."""
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Compute (..., out) from (..., in)."""
        return F.linear(x, self.weight, self.bias)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """Add the result for `x` to `residual`, both (..., channels), in place; without a bias in one operation."""
        if self.bias is not None:
            return residual.add_(self(x))
        residual.view(-1, residual.shape[-1]).addmm_(x.flatten(0, -2), self.weight.t())
        return residual


@dataclass(frozen=True, eq=False)
class SnakeBeta:
    """x + m sin(f x)^2, with a frequency and a magnitude per channel; in float32 or better, and rounded once."""

    frequency: Tensor
    magnitude: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the same shape as `x`."""
        wave = (x * self.frequency).sin_()
        return torch.addcmul(x, wave.square_(), self.magnitude).to(x.dtype)


@dataclass(frozen=True, eq=False)
class CausalConv:
    """A convolution over the current and earlier inputs."""

    weight: Tensor
    """(out, in, 1, taps), channels last; the last tap is for the current input."""
    bias: Tensor | None
    part: int
    """The part of the state that keeps the last `reach` inputs."""
    dilation: int = 1
    activation: SnakeBeta | None = None
    """Applied to the input first."""

    @property
    def reach(self) -> int:
        """The number of earlier inputs that an output depends on."""
        return int(self.weight.shape[-1] - 1) * self.dilation

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Compute (streams, time, out) from (streams, time, in)."""
        whole = past.extend(self.part, x, self.activation)
        return _as_sequence(F.conv2d(_as_image(whole), self.weight, self.bias, dilation=(1, self.dilation)))


@dataclass(frozen=True, eq=False)
class NormedDepthwise:
    """A causal depthwise convolution, then a layer norm without weights."""

    weight: Tensor
    """(taps, channels); the last tap is for the current input."""
    bias: Tensor
    part: int
    """The part of the state that keeps the last `reach` inputs."""
    eps: float

    @property
    def reach(self) -> int:
        """The number of earlier inputs that an output depends on."""
        return len(self.weight) - 1

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Compute the same shape as `x`."""
        channels = x.shape[-1]
        weight = self.weight.t()[:, None, None]
        image = _as_image(past.extend(self.part, x))
        return F.layer_norm(
            _as_sequence(F.conv2d(image, weight, self.bias, groups=channels)), (channels,), eps=self.eps
        )


@dataclass(frozen=True, eq=False)
class ConvNeXt:
    """A depthwise convolution, then a feed-forward layer at each time; the norm's weights are in `widen`."""

    depthwise: NormedDepthwise
    widen: Linear
    narrow: Linear

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Update `x` in place and return it."""
        return self.narrow.add_to(x, F.gelu(self.widen(self.depthwise(x, past))))


@dataclass(frozen=True, eq=False)
class ResidualUnit:
    """Two convolutions, the second of one tap."""

    wide: CausalConv
    between: SnakeBeta
    narrow: Linear

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Update `x` in place and return it."""
        return self.narrow.add_to(x, self.between(self.wide(x, past)))


@dataclass(frozen=True, eq=False)
class DecoderBlock:
    """Upsampling by `rate`, and residual units of growing reach."""

    expand: CausalConv
    rate: int
    units: tuple[ResidualUnit, ...]

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Compute (streams, time * rate, channels / 2) from (streams, time, channels)."""
        x = upsampled(self.expand(x, past), self.rate)
        for unit in self.units:
            x = unit(x, past)
        return x


@dataclass(frozen=True, eq=False)
class AttentionInputs:
    """Inputs that all transformer layers share for one chunk: rotations and mask."""

    cos: Tensor
    """(streams, time, 1, head width)."""
    sin: Tensor
    """Shape as `cos`; negative in the first half of a head."""
    mask: Tensor
    """Added to the attention scores, (streams, 1, time, window - 1 + time)."""


@dataclass(frozen=True, eq=False)
class TransformerLayer:
    """Attention to a window, and a gated feed-forward layer. Norm weights and layer scales are in the matrices."""

    qkv: Linear
    out: Linear
    gate_up: Linear
    down: Linear
    heads: int
    key_value_heads: int
    head_dim: int
    eps: float
    part: int
    """The part of the state that keeps the rotated keys and the values of the last window - 1 frames."""

    def __call__(self, x: Tensor, inputs: AttentionInputs, past: Past) -> Tensor:
        """Update `x` (streams * time, channels) in place and return it."""
        streams, time = inputs.cos.shape[:2]
        qkv = self.qkv(_rms_norm(x, self.eps)).view(streams, time, -1, self.head_dim)
        rotated = qkv[:, :, : self.heads + self.key_value_heads]
        halves_swapped = rotated.roll(self.head_dim // 2, dims=-1)
        rotated.mul_(inputs.cos).addcmul_(halves_swapped, inputs.sin)
        keys, values = (
            past.extend(self.part, qkv[:, :, self.heads :].flatten(2))
            .unflatten(2, (2, self.key_value_heads, self.head_dim))
            .permute(2, 0, 3, 1, 4)
        )
        seen = F.scaled_dot_product_attention(
            qkv[:, :, : self.heads].transpose(1, 2),
            keys,
            values,
            attn_mask=inputs.mask,
            enable_gqa=self.heads != self.key_value_heads,
        )
        x = self.out.add_to(x, seen.transpose(1, 2).reshape(streams * time, -1))
        gate, up = self.gate_up(_rms_norm(x, self.eps)).chunk(2, dim=-1)
        return self.down.add_to(x, F.silu(gate) * up)


@dataclass(frozen=True, eq=False)
class Transformer:
    """Layers, then a norm. Its weight is in the next layer's matrix."""

    layers: tuple[TransformerLayer, ...]
    rotation: Tensor
    """Radians per frame for each element of a head, (head width,) float32; negative in the first half."""
    window: int
    """Frames that a frame attends to, itself included."""

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Compute (streams, time, channels) from `x` of the same shape."""
        inputs = self._attention_inputs(past.start, x.shape[1], x.dtype)
        flat = x.flatten(0, 1)
        for layer in self.layers:
            flat = layer(flat, inputs, past)
        return _rms_norm(flat, self.layers[-1].eps).view(x.shape)

    def _attention_inputs(self, start: Tensor, time: int, dtype: torch.dtype) -> AttentionInputs:
        before = self.window - 1
        seen = before + time
        frame = torch.arange(time, device=start.device)[:, None]
        key = (
            torch.arange(-(-seen // _ALIGNED) * _ALIGNED, device=start.device) - before
        )  # 0: the first frame of the chunk
        angles = (start[:, None, None, None] + frame[:, None]) * self.rotation
        hidden = (key > frame) | (key <= frame - self.window)
        not_begun = start[:, None] + key < 0
        mask = torch.zeros(len(start), 1, time, len(key), device=start.device, dtype=dtype)
        mask.masked_fill_(not_begun[:, None, None] | hidden, -torch.inf)
        return AttentionInputs(angles.cos().to(dtype), angles.sin().to(dtype), mask[..., :seen])


def upsampled(x: Tensor, rate: int) -> Tensor:
    """Read channels as time: (streams, time, rate * channels) becomes (streams, time * rate, channels)."""
    return x.reshape(x.shape[0], x.shape[1] * rate, -1)


def _as_image(x: Tensor) -> Tensor:
    """View (streams, time, channels) as (streams, channels, 1, time), channels last."""
    return x.transpose(1, 2).unsqueeze(2)


def _as_sequence(image: Tensor) -> Tensor:
    """Invert `_as_image`."""
    return image.squeeze(2).transpose(1, 2)


def _rms_norm(x: Tensor, eps: float) -> Tensor:
    """Normalize in float32, as the package does. torch itself widens narrower types."""
    wide = x.float() if x.dtype == torch.float64 else x
    return F.rms_norm(wide, x.shape[-1:], eps=eps).to(x.dtype)
