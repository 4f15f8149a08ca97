"""From the frames of phonemes, pitch and energy to samples (iSTFTNet)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.kokoro.gpu.layers import WIDTH, Rows, SnakeBlock, StyledBlock
from tritone.contract import SPEECH_RATE

_HOP, _WINDOW = 5, 20
_BINS = _WINDOW // 2 + 1
_HALF_FRAME = 300
"""Samples for each number of the pitch."""
_HARMONICS = 9
_AMPLITUDE = 0.1
_NOISE, _NOISE_UNVOICED = 0.003, _AMPLITUDE / 3
"""Amplitudes of the source's noise in voiced and unvoiced sounds, as in training."""
_VOICED_HZ = 10
_NOISE_SAMPLES = 1 << 18
"""The noise is the same for all rows, and repeats after 11 seconds."""


class Source(nn.Module):
    """The excitation: nine harmonics of the pitch, and noise."""

    noise: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.l_linear = nn.Linear(_HARMONICS, 1)
        noise = np.random.default_rng(0).standard_normal(_NOISE_SAMPLES, np.float32)
        self.register_buffer("noise", torch.from_numpy(noise), persistent=False)

    def forward(self, f0: Tensor, *, noisy: bool = True) -> Tensor:
        """Return samples [B, 600 F] for the pitch [B, 2 F] in Hz, which is zero in the padding.

        The phases add up in float64: those of a long piece would lose their precision. `noisy` False: without noise,
        as the published graph computes it.
        """
        turns = torch.stack([f0.double() / SPEECH_RATE, (f0 < 0).double()], 1)  # of the pitch below 0, modulo 1
        turns = F.interpolate(turns.cumsum(2) * _HALF_FRAME, scale_factor=_HALF_FRAME, mode="linear")
        first, added = (turns % 1).float().unbind(1)
        voiced = (f0 > _VOICED_HZ).float().repeat_interleave(_HALF_FRAME, 1)
        weights = self.l_linear.weight[0]
        mixed = torch.zeros_like(voiced)
        for n in range(_HARMONICS):
            mixed.addcmul_(torch.sin(2 * math.pi * (first * (n + 1) + added)), weights[n] * _AMPLITUDE)
        mixed = mixed * voiced + self.l_linear.bias
        if noisy:
            noise = self.noise.repeat(-(-mixed.shape[1] // _NOISE_SAMPLES))[: mixed.shape[1]]
            amplitude = torch.linalg.vector_norm(weights) * (_NOISE_UNVOICED + (_NOISE - _NOISE_UNVOICED) * voiced)
            mixed = torch.addcmul(mixed, amplitude, noise)
        return torch.tanh(mixed)


class Spectrum(nn.Module):
    """Short-time Fourier transforms of 20 samples every 5, as products of matrices."""

    analysis: Tensor
    synthesis: Tensor

    def __init__(self) -> None:
        super().__init__()
        times = np.arange(_WINDOW)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * times / _WINDOW)
        angles = 2 * np.pi * np.outer(np.arange(_BINS), times) / _WINDOW
        sine = np.sin(angles)
        sine[[0, -1]] = 0  # not a rounded zero: its sign would become a phase
        parts = np.concatenate([np.cos(angles), -sine]) * window
        shares = np.where(np.isin(np.arange(_BINS), (0, _BINS - 1)), 1, 2) / _WINDOW
        self.register_buffer("analysis", torch.from_numpy(parts.T.astype(np.float32)), persistent=False)
        synthesis = (parts * np.tile(shares, 2)[:, None]).astype(np.float32)
        self.register_buffer("synthesis", torch.from_numpy(synthesis), persistent=False)

    def analyze(self, samples: Tensor, rows: Rows) -> Tensor:
        """Return magnitudes and phases [B, 22, L / 5 + 1] of samples [B, L]; `rows`: of the samples."""
        padded = samples.gather(1, rows.reflected(_WINDOW // 2))
        real, imaginary = (padded.unfold(1, _WINDOW, _HOP) @ self.analysis).chunk(2, 2)
        spectrum = torch.cat([torch.hypot(real, imaginary), _phase(real, imaginary)], 2)
        return spectrum.transpose(1, 2)

    def synthesize(self, magnitudes: Tensor, phases: Tensor, rows: Rows) -> Tensor:
        """Return samples [B, 5 (L - 1)] of magnitudes and phases [B, 11, L] each; `rows`: of these.

        Overlapping windows are added, and not divided by the sum of their squares: so is the published graph's level.
        """
        parts = torch.cat([magnitudes * torch.cos(phases), magnitudes * torch.sin(phases)], 1) * rows.mask
        pieces = (parts.transpose(1, 2) @ self.synthesis).unflatten(2, (-1, _HOP))
        overlap = _WINDOW // _HOP
        samples = sum(F.pad(pieces[:, :, n], (0, 0, n, overlap - 1 - n)) for n in range(overlap))
        assert isinstance(samples, Tensor)
        return samples.flatten(1)[:, _WINDOW // 2 : -_WINDOW // 2]


def _phase(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return the angles, which jump between pi and -pi: there a rounding error changes the speech."""
    return torch.atan2(imaginary + 0.0, real)  # a zero of a product with a negative number would give -pi


class Generator(nn.Module):
    """Upsamples by 10 and by 6, with the source's spectrum added, and ends with the spectrum of the speech."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.m_source = Source()
        self.spectrum = Spectrum()
        self.ups = nn.ModuleList(
            [
                nn.ConvTranspose1d(width, half, 20, stride=10, padding=5),
                nn.ConvTranspose1d(half, quarter, 12, stride=6, padding=3),
            ]
        )
        self.noise_convs = nn.ModuleList(
            [nn.Conv1d(2 * _BINS, half, 12, stride=6, padding=3), nn.Conv1d(2 * _BINS, quarter, 1)]
        )
        self.noise_res = nn.ModuleList([SnakeBlock(half, 7), SnakeBlock(quarter, 11)])
        self.resblocks = nn.ModuleList(SnakeBlock(size, taps) for size in (half, quarter) for taps in (3, 7, 11))
        self.conv_post = nn.Conv1d(quarter, 2 * _BINS, 7, padding=3)

    def harmonics(self, f0: Tensor, rows: Rows, *, noisy: bool = True) -> Tensor:
        """Return the source's spectrum [B, 22, 120 F + 1] for the pitch [B, 2 F]; `rows`: of the pitch."""
        samples = self.m_source(f0, noisy=noisy)
        return self.spectrum.analyze(samples, rows.times(_HALF_FRAME))

    def forward(self, x: Tensor, style: Tensor, source: Tensor, rows: Rows) -> Tensor:
        """Return samples [B, 600 F] for [B, width, 2 F]; `rows`: of `x`."""
        fine = rows.times(60, 1)
        source = (source * fine.mask).to(x.dtype)
        for n, (factor, more) in enumerate(((10, 0), (6, 1))):
            rows = rows.times(factor, more)
            mask = rows.mask.to(x.dtype)
            beside = self.noise_res[n](self.noise_convs[n](source) * mask, style, rows)
            x = self.ups[n](F.leaky_relu(x, 0.1))
            if more:
                x = torch.cat([x[:, :, 1:2], x], 2)
            x = torch.addcmul(beside, x, mask)
            branches = [block(x, style, rows) for block in self.resblocks[3 * n : 3 * n + 3]]
            x = (branches[0] + branches[1] + branches[2]) / 3
        spectrum = self.conv_post(F.leaky_relu(x, 0.01)).float()
        return self.spectrum.synthesize(torch.exp(spectrum[:, :_BINS]), torch.sin(spectrum[:, _BINS:]), rows)


class Decoder(nn.Module):
    """Five blocks that join the phonemes with pitch and energy, and the generator."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.asr_res = nn.ModuleList([nn.Conv1d(width, width // 8, 1)])
        self.F0_conv, self.N_conv = (nn.Conv1d(1, 1, 3, stride=2, padding=1) for _ in range(2))
        self.encode = StyledBlock(width + 2, 2 * width)
        joined = 2 * width + width // 8 + 2
        self.decode = nn.ModuleList(
            [*(StyledBlock(joined, 2 * width) for _ in range(3)), StyledBlock(joined, width, doubles=True)]
        )
        self.generator = Generator(width)

    def forward(self, text: Tensor, curves: tuple[Tensor, Tensor], style: Tensor, source: Tensor, rows: Rows) -> Tensor:
        """Return samples [B, 600 F].

        `text`: [B, width, F]; `curves`: pitch and energy, [B, 1, 2 F] each; `style`: [B, 128]; `source`: as
        `Generator.harmonics`. All but the source have zeros in the padding.
        """
        mask = rows.mask.to(text.dtype)
        pitch, energy = self.F0_conv(curves[0]) * mask, self.N_conv(curves[1]) * mask
        x, _ = self.encode(torch.cat([text, pitch, energy], 1), style, rows)
        beside = [self.asr_res[0](text) * mask, pitch, energy]
        for block in self.decode:
            x, rows = block(torch.cat([x, *beside], 1), style, rows)
        samples: Tensor = self.generator(x, style, source, rows)
        return samples
