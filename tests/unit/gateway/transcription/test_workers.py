"""Kinds of work that do not wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.recordings import encoded, parts

WAIT = 300
"""Seconds after which a test that hangs fails."""


@contextmanager
def busy(*pools: ThreadPoolExecutor) -> Iterator[None]:
    """All threads of `pools` have work that does not end within the block."""
    done = threading.Event()
    waiting = [pool.submit(done.wait, 2 * WAIT) for pool in pools for _ in range(100)]
    try:
        yield
    finally:
        done.set()
        for each in waiting:
            each.cancel()


async def test_speech_is_encoded_while_all_decoders_are_busy(gateway: Gateway) -> None:
    workers = gateway.services.workers
    with busy(workers.decoding, workers.voices, workers.live):
        speech = await gateway.openai.audio.speech.create(
            model="kokoro-82m", voice="af_heart", input="Hello.", response_format="mp3", timeout=WAIT
        )
    assert len(speech.content) > 1000


async def test_recording_is_transcribed_while_all_encoders_are_busy(gateway: Gateway) -> None:
    workers = gateway.services.workers
    with busy(workers.encoding, workers.voices, workers.live):
        transcript = await gateway.openai.audio.transcriptions.create(
            model="whisper-base", file=("speech.flac", encoded(parts(1), "flac", "flac")), timeout=WAIT
        )
    assert transcript.text == "part 0"
