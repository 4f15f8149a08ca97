"""Recordings decoded and cut as they are asked for."""

from __future__ import annotations

import asyncio
import io
import threading
from contextlib import aclosing

import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from gateway.transcription.listening import windows_of
from tests.unit.gateway.recordings import RATE, encoded, parts
from tests.unit.gateway.transcription.conftest import loudness
from tritone.windowing import VadOptions


async def test_a_recording_is_decoded_no_further_than_asked() -> None:
    recording = AudioFile(io.BytesIO(encoded(parts(10), "flac", "flac")), RATE, 3600, "file")
    async with aclosing(windows_of(recording, loudness, VadOptions())) as found:
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
    found = windows_of(recording, loudness, VadOptions())
    asking = asyncio.ensure_future(anext(found))
    await asyncio.to_thread(reading.wait, 10)
    asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=0)
    assert not done
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert recording.seconds == 0
