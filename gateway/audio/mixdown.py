"""Mix channels to mono so that no sound in them cancels itself, whatever the phases of the channels are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.audio.frames import Pcm

Gains = NDArray[np.float32]

_ALIKE: Final = 1e-4
"""Two sides are the same sound if the power of their difference is at most this share of their sum's power, -40 dB.
What only the difference holds, such as a voice on a badly wired balanced line below the hum of both, is then inaudible.
"""
_OPPOSITE: Final = -0.5
"""Channels of one side with a correlation below this are in opposite phase."""
_RAMP_SECONDS: Final = 0.02
"""Gains change over this time, so that no click is heard."""
_LOWEST_HERTZ: Final = 70
"""The filter shifts frequencies from about here on by a quarter of a period; voices begin there."""
_PEAK: Final = 1e6
"""No real sample is larger; powers of samples within it are finite."""


class Mixdown:
    """Mixes blocks of `channels` channels at `rate` Hz to mono; keeps its state from one block to the next.

    A plain sum loses what the channels hold in opposite phase: a stereo recording with one inverted channel becomes
    silent. So the even and the odd channels form two sides, each without channels in opposite phase, and the second is
    shifted by a quarter of a period before they are added: in phase, in opposite phase or different, the powers add up.
    Where both sides are the same sound they are averaged instead, which changes no sample of it.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self._channels = channels
        self._ramp = round(_RAMP_SECONDS * rate)
        self._shift = _quarter_period_shift(2 * round(2 * rate / _LOWEST_HERTZ) + 1)
        self._delay = len(self._shift) // 2
        self._skip = self._delay
        """Samples that come out before the first of the recording."""
        self._direct = np.zeros(self._delay, np.float32)
        self._shifted = np.zeros(len(self._shift) - 1, np.float32)
        self._signs = np.ones(channels, np.float32)
        self._gains: Gains | None = None

    def write(self, block: Pcm) -> Pcm:
        """Return mono samples [about n] for the block [n, channels]; the last ones wait for the next call."""
        block = np.clip(np.nan_to_num(block, posinf=1.0, neginf=-1.0), -_PEAK, _PEAK)
        gains = self._gains_of(block)
        before = gains if self._gains is None else self._gains
        self._gains = gains
        # Rows: what is added as it is, and what is shifted. Columns: the channels.
        direct, shifted = (block @ gains.T).T
        if not np.array_equal(before, gains):
            ramp = np.linspace(0, 1, min(self._ramp, len(block)), dtype=np.float32)
            old = (block[: len(ramp)] @ before.T).T
            direct[: len(ramp)] += (old[0] - direct[: len(ramp)]) * (1 - ramp)
            shifted[: len(ramp)] += (old[1] - shifted[: len(ramp)]) * (1 - ramp)
        return self._joined(direct, shifted)

    def finish(self) -> Pcm:
        """Return the samples that wait; call it once."""
        rest = np.zeros(self._delay, np.float32)
        return self._joined(rest, rest)

    def _gains_of(self, block: Pcm) -> Gains:
        """Return the gain of each channel in the sum and in the shifted sum, [2, channels]."""
        products = np.dot(block.T.astype(np.float64), block)
        sides = [np.arange(self._channels) % 2 == side for side in (0, 1)]
        for side in sides:
            self._align(products, np.flatnonzero(side))
        gains: Gains = np.stack([side * self._signs / np.sqrt(side.sum()) for side in sides]).astype(np.float32)
        powers = gains @ products @ gains.T
        total, cross = np.trace(powers), 2 * powers[0, 1]
        if total - cross <= _ALIKE * (total + cross):
            gains[0], gains[1] = gains.sum(axis=0) / 2, 0
        else:
            gains /= np.sqrt(2)
        return gains

    def _align(self, products: NDArray[np.float64], side: NDArray[np.intp]) -> None:
        """Set the signs of the channels of one side so that none is in opposite phase to the louder ones.

        `products` [channels, channels]: the scalar products of the channels. A sign stays until it is clearly wrong.
        """
        total = np.zeros(self._channels)
        for channel in sorted(side, key=lambda index: -products[index, index]):
            product = self._signs[channel] * (total @ products[channel])
            power = products[channel, channel] * (total @ products @ total)
            if product < _OPPOSITE * np.sqrt(power):
                self._signs[channel] *= -1
            total[channel] = self._signs[channel]

    def _joined(self, direct: Pcm, shifted: Pcm) -> Pcm:
        """Return the sum of `direct` and the shifted samples, both late by the filter's delay."""
        direct = np.concatenate([self._direct, direct])
        shifted = np.concatenate([self._shifted, shifted])
        self._direct = direct[len(direct) - self._delay :]
        self._shifted = shifted[len(shifted) - len(self._shift) + 1 :]
        mixed: Pcm = direct[: len(direct) - self._delay]
        if shifted.any():
            mixed = mixed + _convolved(shifted, self._shift)
        skipped = min(self._skip, len(mixed))
        self._skip -= skipped
        return mixed[skipped:]


def _quarter_period_shift(length: int) -> NDArray[np.float32]:
    """Return the impulse response of a Hilbert transformer: 2/(pi n) for odd n, in a Hamming window of odd `length`."""
    n = np.arange(length) - length // 2
    response = np.zeros(length)
    odd = n % 2 == 1
    response[odd] = 2 / (np.pi * n[odd])
    return (response * np.hamming(length)).astype(np.float32)


def _convolved(samples: Pcm, response: Pcm) -> Pcm:
    """Return the convolution where `response` lies within `samples` as a whole."""
    size = 1 << (len(samples) + len(response)).bit_length()
    product = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[len(response) - 1 : len(samples)].astype(np.float32)
