"""Recordings decoded and cut window by window."""

from __future__ import annotations

import asyncio
import io
import threading
from contextlib import aclosing

import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from tests.unit.gateway.loudness import loudness
from tests.unit.gateway.recordings import RATE, encoded, parts
from tritone.transcribe_windows import iter_windows


async def test_a_recording_is_decoded_no_further_than_its_windows_are_read() -> None:
    recording = AudioFile(io.BytesIO(encoded(parts(10), "flac", "flac")), RATE, 3600, "file")
    async with aclosing(iter_windows(recording.clean_blocks(), loudness, stop=recording.stop)) as found:
        await anext(found)
        assert recording.seconds < 60
        await anext(found)
        assert recording.seconds < 90


async def test_no_thread_reads_the_file_once_the_windows_are_closed() -> None:
    reading, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reading.set()
            go_on.wait(10)
            return super().read(size)

    recording = AudioFile(Slow(encoded(np.zeros(600 * RATE, np.float32), "wav", "pcm_s16le")), RATE, 3600, "file")
    found = iter_windows(recording.clean_blocks(), loudness, stop=recording.stop)
    step = asyncio.ensure_future(anext(found))
    await asyncio.to_thread(reading.wait, 10)
    step.cancel()
    done, _ = await asyncio.wait([step], timeout=0)
    assert not done
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert recording.seconds == 0
