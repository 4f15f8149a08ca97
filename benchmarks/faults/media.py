"""Recordings that are damaged at random."""

from __future__ import annotations

import io
import random
from typing import Any

import av
import numpy as np

FORMATS = ("wav", "mp3", "flac", "ogg", "webm", "mp4", "adts")
_CODECS = {"wav": "pcm_s16le", "mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "webm": "libopus", "mp4": "aac"}


def recording(container: str, seconds: float = 1.0) -> bytes:
    """Return a tone in one of `FORMATS`."""
    rate = 48_000
    tone = (8000 * np.sin(np.arange(round(seconds * rate)) * 0.03)).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(_CODECS.get(container, "aac"), rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for part in av.AudioResampler(stream.format, "mono", rate, stream.frame_size or None).resample(frame):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return `data` with one to four random changes: bytes replaced, removed, repeated or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        length = min(chance.choice((1, 2, 4, 64, 1024)), len(changed) - at)
        match chance.randrange(5):
            case 0:
                changed[at : at + length] = chance.randbytes(length)
            case 1:
                changed[at : at + length] = b"\xff" * length
            case 2 if len(changed) > length + 1:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length]
            case _ if at > 16:
                del changed[at:]
    return bytes(changed)
