"""Sounds that are no speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from tests.unit.gateway.recordings import RATE
from tritone.windowing import Samples

Wave = NDArray[np.float64]

_SECONDS = 5


def non_speech() -> dict[str, Samples]:
    """Return five seconds of each of many kinds of sound, at an RMS of 1."""
    random = np.random.default_rng(0)
    time = np.arange(_SECONDS * RATE) / RATE
    noise = random.standard_normal(len(time))

    def coloured(shape: Callable[[Wave], Wave]) -> Wave:
        spectrum = np.fft.rfft(noise) * shape(np.maximum(np.fft.rfftfreq(len(noise), 1 / RATE), 20))
        return np.fft.irfft(spectrum, len(noise))

    def struck(times: Iterable[float], fade: float) -> Wave:
        after = [np.maximum(time - start, 0) for start in times]
        envelope: Wave = np.sum([(late > 0) * np.exp(-late / fade) * np.minimum(1, late / 0.005) for late in after], 0)
        return envelope

    def tones(*hertz: float) -> Wave:
        wave: Wave = np.sum([np.sin(2 * np.pi * frequency * time) for frequency in hertz], 0)
        return wave

    def at_random(count: int) -> Wave:
        return np.sort(random.uniform(0, _SECONDS, count))

    strings = [tones(*(pitch * harmonic for harmonic in range(1, 5))) for pitch in (220, 262, 330, 392, 440)]
    low, middle = coloured(lambda f: 1 / f), coloured(lambda f: 1 / (1 + ((f - 1200) / 700) ** 2))
    sounds = {
        "white noise": noise,
        "pink noise": coloured(lambda f: f**-0.5),
        "brown noise": low,
        "mains hum": np.sum([tones(50 * harmonic) / harmonic for harmonic in range(1, 9)], 0),
        "a tone": tones(1000),
        "a sweep": np.sin(2 * np.pi * (200 * time + 200 * time**2)),
        "clicks": noise * struck(at_random(30), 0.008),
        "typing": coloured(np.sqrt) * struck(at_random(30), 0.02),
        "knocking": low * struck(np.arange(0.5, 5, 0.6), 0.06),
        "strings": np.sum([s * struck([0.4 + i], 0.6) for i, s in enumerate(strings[:4])], 0),
        "drums": coloured(lambda f: f**-0.3) * struck(np.arange(0, 5, 0.5), 0.1) + 3 * tones(60),
        "wind": coloured(lambda f: f**-0.9) * (1 + 0.8 * np.sin(2 * np.pi * 0.3 * time)),
        "rain": coloured(lambda f: f**0.2) + 3 * noise * struck(at_random(60), 0.003),
        "an engine": tones(*range(30, 600, 30)) + 0.3 * noise,
        "a telephone's keys": tones(770, 1336) * (time % 0.4 < 0.2),
        "a telephone's bell": tones(440, 480) * (time % 3 < 1),
        "a modem": np.sign(tones(1200) + tones(2200) * np.repeat(random.integers(0, 2, 1600), 50)),
        "applause": noise * struck(at_random(200), 0.01),
        "breathing": middle * np.maximum(0, np.sin(2 * np.pi * 0.35 * time)) ** 1.5,
        "a bell": tones(523, 1301, 2093, 2850) * struck((0.2, 2.2, 4.2), 0.8),
        "the sea": coloured(lambda f: f**-0.4) * (0.3 + np.maximum(0, np.sin(2 * np.pi * 0.12 * time))),
        "a siren": np.sin(2 * np.pi * 700 * time - 190 * np.cos(2 * np.pi * 0.5 * time)),
        "a fan": coloured(lambda f: f**-0.7) * (1 + 0.2 * np.sin(2 * np.pi * 11 * time)),
        "coughing": middle * struck((1, 1.4, 4, 4.35), 0.07),
    }
    return {name: (sound / np.sqrt(np.mean(sound**2))).astype(np.float32) for name, sound in sounds.items()}
