"""Decoding encoded audio."""

from __future__ import annotations

import io

import av
import numpy as np


def decode(encoded: bytes, audio_format: str) -> tuple[np.ndarray, int]:
    """Return the mono samples as float -1 to 1, and their rate in Hz, as PyAV decodes them."""
    if audio_format == "pcm":
        return np.frombuffer(encoded, "<i2") / 32768, 24_000
    with av.open(io.BytesIO(encoded), "r") as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler("flt", "mono", rate)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]), rate
