"""Layers for batches of rows of different lengths.

Each row is followed by padding up to the longest one. Padding is zero at the input of every convolution, left out of
every mean and variance, and behind the sequence in both directions of a recurrent layer: a row's result is the one that
it has alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 512
"""Features of a phoneme in the published checkpoint; the other widths are multiples or parts of it."""
STYLE = 128
"""Numbers of a half of a voice's style: one half is for the prosody, the other for the sound."""
_EPSILON = 1e-5


class Rows:
    """The lengths of the rows of a batch at one rate, and the masks of their positions."""

    def __init__(self, lengths: Tensor, size: int) -> None:
        """`lengths`: positions of each row, int64 [B], at least 1; `size`: positions with padding."""
        self.lengths = lengths
        self.size = size
        places = torch.arange(size, device=lengths.device)
        self.is_valid = places < lengths[:, None]
        """Whether a position belongs to its row: [B, L]."""
        self.mask = self.is_valid[:, None].float()
        """1 at valid positions, else 0: [B, 1, L]."""

    def times(self, factor: int, more: int = 0) -> Rows:
        """Return the rows at a rate that is higher by a factor, each with `more` positions at its end."""
        return Rows(self.lengths * factor + more, self.size * factor + more)

    def reversal(self) -> Tensor:
        """Return for each position the one with which it changes places in the reversed row: [B, L]."""
        places = torch.arange(self.size, device=self.lengths.device)
        return torch.where(self.is_valid, self.lengths[:, None] - 1 - places, places)

    def reflected(self, margin: int) -> Tensor:
        """Return the places of the rows with `margin` reflected ones before and after each: [B, L + 2 margin]."""
        places = torch.arange(-margin, self.size + margin, device=self.lengths.device).abs()
        last = self.lengths[:, None] - 1
        return torch.where(places > last, 2 * last - places, places).clamp(min=0)


class AdaptiveNorm(nn.Module):
    """An instance normalization with a scale and a shift that depend on the style (AdaIN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(STYLE, 2 * channels)

    def forward(self, x: Tensor, style: Tensor, rows: Rows) -> Tensor:
        """Normalize each channel of each row: [B, C, L]. `x` is zero in the padding; so is the result."""
        mask = rows.mask.to(x.dtype)
        count = rows.lengths[:, None, None]
        mean = (x.sum(2, keepdim=True, dtype=torch.float32) / count).to(x.dtype)
        centered = x - mean * mask
        power = torch.linalg.vector_norm(centered, dim=2, keepdim=True, dtype=torch.float32).square() / count
        scale, shift = self.fc(style)[:, :, None].chunk(2, 1)
        factor = ((1 + scale.float()) * torch.rsqrt(power + _EPSILON)).to(x.dtype)
        return torch.addcmul(shift * mask, centered, factor)


class BiLstm(nn.Module):
    """A recurrent layer in both directions. The second one reads each row from the row's own end."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """`outputs`: of both directions together."""
        super().__init__()
        self.ahead = nn.LSTM(inputs, outputs // 2, batch_first=True)
        self.back = nn.LSTM(inputs, outputs // 2, batch_first=True)

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        """Return [B, L, outputs] for [B, L, inputs]; padding has any values."""
        order = rows.reversal()[:, :, None]
        back, _ = self.back(x.gather(1, order.expand_as(x)))
        return torch.cat([self.ahead(x)[0], back.gather(1, order.expand_as(back))], 2)


class StyledBlock(nn.Module):
    """Two convolutions of three taps, each after an adaptive normalization, beside a shortcut (AdainResBlk1d)."""

    def __init__(self, inputs: int, outputs: int, *, doubles: bool = False) -> None:
        """`doubles`: the result has twice as many positions."""
        super().__init__()
        self.norm1, self.norm2 = AdaptiveNorm(inputs), AdaptiveNorm(outputs)
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=1)
        self.conv1x1 = nn.Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        self.pool = (
            nn.ConvTranspose1d(inputs, inputs, 3, stride=2, padding=1, output_padding=1, groups=inputs)
            if doubles
            else None
        )

    def forward(self, x: Tensor, style: Tensor, rows: Rows) -> tuple[Tensor, Rows]:
        """Return the result and its rows. Padding is zero before and after."""
        y = F.leaky_relu(self.norm1(x, style, rows), 0.2)
        if self.pool is not None:
            rows = rows.times(2)
            x = x.repeat_interleave(2, 2)
            y = self.pool(y) * rows.mask.to(y.dtype)
        y = self.conv1(y) * rows.mask.to(y.dtype)
        y = self.conv2(F.leaky_relu(self.norm2(y, style, rows), 0.2))
        if self.conv1x1 is not None:
            x = self.conv1x1(x)
        return (x + y) * (rows.mask.to(x.dtype) / math.sqrt(2)), rows


class SnakeBlock(nn.Module):
    """Three times two convolutions, each after an adaptive normalization and a Snake, beside a sum (AdaINResBlock1)."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        self.adain1, self.adain2 = (nn.ModuleList(AdaptiveNorm(channels) for _ in range(3)) for _ in range(2))
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, taps, dilation=d, padding=d * (taps - 1) // 2) for d in (1, 3, 5)
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, taps, padding=(taps - 1) // 2) for _ in range(3))
        self.alpha1, self.alpha2 = (
            nn.ParameterList(nn.Parameter(torch.ones(1, channels, 1)) for _ in range(3)) for _ in range(2)
        )

    def forward(self, x: Tensor, style: Tensor, rows: Rows) -> Tensor:
        """Return [B, C, L] for the same shape. Padding is zero before and after."""
        mask = rows.mask.to(x.dtype)
        for n in range(3):
            y = _snake(self.adain1[n](x, style, rows), self.alpha1[n])
            y = self.convs1[n](y) * mask
            y = _snake(self.adain2[n](y, style, rows), self.alpha2[n])
            x = torch.addcmul(x, self.convs2[n](y), mask)
        return x


def _snake(x: Tensor, alpha: Tensor) -> Tensor:
    """Return x + sin(alpha x)^2 / alpha."""
    return torch.addcdiv(x, torch.sin(x * alpha).square_(), alpha)
