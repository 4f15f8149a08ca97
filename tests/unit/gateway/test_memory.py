"""The memory that a long recording takes, of a gateway in a process of its own, with the real detector."""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import numpy as np
import soundfile

from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.process import ROOT, peak_mb, running
from tritone.transcript import Segment, Transcript

SENTENCE, RATE = soundfile.read(ROOT / "adapters" / "whisper" / "known_sentence.ogg", dtype="float32")
SHORT_MINUTES, LONG_MINUTES = 2, 10
MOST_MB = 37
"""Beyond a gateway after its first sentence, whose memory depends on the Python and on the libraries."""
MOST_GROWTH_MB = 15
MODELS = str(Path(os.environ.get("MODEL_DIR") or ROOT / "models").resolve())


def recording(minutes: float) -> bytes:
    """Return the sentence again and again, a little louder each time."""
    step = np.concatenate([SENTENCE, np.zeros(RATE, np.float32)])
    steps = int(minutes * 60 * RATE / len(step))
    loud = np.linspace(0.3, 0.9 / np.abs(SENTENCE).max(), steps, dtype=np.float32)
    file = io.BytesIO()
    soundfile.write(file, np.concatenate([step * each for each in loud]), RATE, format="FLAC")
    return file.getvalue()


def transcribe(call: Call) -> Iterable[Tensors]:
    """Return the window's peak as text."""
    loudest = np.abs(call.inputs["audio"]).max()
    segment = Segment(0.0, 1.0, f" {loudest:.6f}", (1,), 0.0, -0.1, 1.0, 0.0)
    yield Transcript("en", 0.9, (segment,)).to_columns()


async def deltas(url: str, file: bytes) -> AsyncIterator[str]:
    form = {"model": "whisper-base", "stream": "true"}
    async with (
        httpx.AsyncClient(base_url=url, timeout=300) as client,
        client.stream("POST", "/v1/audio/transcriptions", data=form, files={"file": ("long.flac", file)}) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: {") and (event := json.loads(line[6:]))["type"] == "transcript.text.delta":
                yield event["delta"]


async def test_a_long_recording_streams_in_order_and_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """Eight more minutes stand for an hour, which would take the suite half a minute: their samples take 31 MB."""
    async with (
        FakeTriton({"whisper-base": transcribe}) as triton,
        running(triton.address, tmp_path, MODEL_DIR=MODELS) as started,
    ):
        process, url = started
        assert [delta async for delta in deltas(url, recording(SHORT_MINUTES / 20))]
        idle = peak_mb(process.pid)
        short = [delta async for delta in deltas(url, recording(SHORT_MINUTES))]
        before, called = peak_mb(process.pid), len(triton.calls)
        peaks, called_first = [], 0
        async for delta in deltas(url, recording(LONG_MINUTES)):
            called_first = called_first or len(triton.calls) - called
            peaks.append(float(delta))
        after = peak_mb(process.pid)
    assert len(peaks) > 4 * len(short)
    assert peaks == sorted(peaks)
    assert called_first < len(peaks) // 2  # the first text is sent before later audio is decoded
    assert after - idle < MOST_MB
    assert after - before < MOST_GROWTH_MB
