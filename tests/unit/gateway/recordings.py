"""Recordings as clients upload them."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np

from tritone.windowing import Samples

RATE = 16_000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> Samples:
    """Return a sine at 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(
    pcm: Samples,
    container: str,
    codec: str,
    rate: int = RATE,
    layout: str = "mono",
    video: str = "",
    title: str = "",
) -> bytes:
    """Return a file of mono `pcm` in each channel, with a grey video track if `video` names its codec."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        if title:
            output.metadata["title"] = title
        sound: Any = output.add_stream(codec, rate=rate, layout=layout)
        if video:
            picture: Any = output.add_stream(video, rate=25, width=64, height=64, pix_fmt="yuv420p")
            for _ in range(25):
                output.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
            output.mux(picture.encode(None))
        packed = np.repeat(pcm, sound.channels)[np.newaxis]  # PyAV fills only seven channels of a planar frame
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.rate = rate
        for converted in av.AudioResampler(sound.format, layout, rate).resample(frame):
            output.mux(sound.encode(converted))
        output.mux(sound.encode(None))
    return file.getvalue()


def wav(data: bytes, rate: int = RATE, channels: int = 1, bits: int = 32, kind: int = 3) -> bytes:
    """Return a WAV file with a header that no encoder writes; kind 1 is integers, 3 is floats."""
    block = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, rate, min(rate * block, 2**32 - 1), block, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 4 + len(form) + 8 + len(data))
        + b"WAVE"
        + form
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


def parts(count: int, seconds: float = 20.0, pause: float = 6.0) -> Samples:
    """Return tones that are each cut into a window of their own; the n-th is n/100 loud, from 0.11 on."""
    silence = np.zeros(round(pause * RATE), np.float32)
    return np.concatenate([np.concatenate([tone(seconds) * (0.22 + 0.02 * n), silence]) for n in range(count)])


def part_of(audio: Samples) -> int:
    """Return the number of the part that a window holds."""
    return round((float(np.abs(audio).max()) - 0.11) * 100)
