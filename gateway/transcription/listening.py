"""A recording's windows, decoded and cut in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gateway.audio.decoding import Recording, cleaned
from tritone.windowing import SpeechDetector, VadOptions, Window, split_at_silence


async def windows_of(recording: Recording, detect: SpeechDetector, rules: VadOptions) -> AsyncGenerator[Window]:
    """Decode and cut in worker threads, a window each time that one is asked for.

    Once the generator is closed, no thread reads the recording's file any more.
    """
    blocks = recording.blocks()
    windows = split_at_silence(map(cleaned, blocks), detect, rules)
    step = None
    try:
        while True:
            step = asyncio.create_task(asyncio.to_thread(next, windows, None))
            window = await asyncio.shield(step)
            if window is None:
                return
            yield window
    finally:
        recording.stop()
        if step:
            await asyncio.wait([step])
        windows.close()
        blocks.close()
