"""Read the most usual recordings without FFmpeg, which takes longer to open a file than this to read it."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from typing import Any, Final

import av
import numpy as np

from gateway.audio.file_parts import FilePart
from gateway.audio.frames import frame

_HEADER: Final = struct.Struct("<4s4x4s")
_CHUNK: Final = struct.Struct("<4sI")
_FORM: Final = struct.Struct("<HHIIHH")
_PCM: Final = 1
_SAMPLE_BYTES: Final = 2
_MOST_CHUNKS: Final = 64
_OPEN_END: Final = (0, 0xFFFF_FFFF)
"""The length of the samples in the header of a file that was written as a stream: they go on to the file's end."""


def plain_frames(file: FilePart, rates: Container[int]) -> Iterator[av.AudioFrame] | None:
    """Return the frames, of a second each, of a WAV file of mono PCM in 16 bits at one of `rates`, in Hz.

    Return None for any other file. One with more channels may hold a codec that its header does not name, such as DTS.
    """
    file.seek(0)
    if _read(file, _HEADER) != (b"RIFF", b"WAVE"):
        return None
    rate = 0
    for _ in range(_MOST_CHUNKS):
        name, size = _read(file, _CHUNK) or (b"", 0)
        if name == b"data":
            return _frames(file, rate, None if size in _OPEN_END else size) if rate in rates else None
        begin = file.tell()
        if name == b"fmt ":
            kind, channels, rate, _, block, bits = _read(file, _FORM) or (0,) * 6
            if (kind, channels, block, bits) != (_PCM, 1, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES):
                return None
        elif not name:
            return None
        file.seek(begin + size + size % 2)
    return None


def _frames(file: FilePart, rate: int, size: int | None) -> Iterator[av.AudioFrame]:
    """Yield the next `size` bytes, or all of them, as frames."""
    position = 0
    while True:
        left = rate if size is None else min(rate, size // _SAMPLE_BYTES - position)
        data = file.read(left * _SAMPLE_BYTES)
        samples = np.frombuffer(data, "<i2", len(data) // _SAMPLE_BYTES)
        if not samples.size:
            return
        yield frame(samples.astype(np.int16, copy=False), rate, position)
        position += samples.size


def _read(file: FilePart, form: struct.Struct) -> tuple[Any, ...] | None:
    """Return the next values; None at the file's end."""
    data = file.read(form.size)
    return form.unpack(data) if len(data) == form.size else None
