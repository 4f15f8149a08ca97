"""Clients of OpenAI's SDK, and what became of their requests."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from openai import APIError, AsyncOpenAI

from benchmarks.pools.rig import Triton, gateway
from tests.e2e.server import ROOT

RECORDING = ROOT / "adapters" / "whisper" / "known_sentence.ogg"
TEXT = "The library closes at nine, but the reading room stays open."
CLIENTS = 6


@dataclass
class Traffic:
    """Clients that speak and transcribe through every gateway, one request after the other."""

    clients: Sequence[AsyncOpenAI]
    answered: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[float, float, str]] = field(default_factory=list)
    """Start, end and error of each failed request."""
    longest: float = 0.0
    _numbers: count[int] = field(default_factory=count)

    async def run(self) -> None:
        """Send requests until cancelled."""
        while True:
            number = next(self._numbers)
            client = self.clients[number % len(self.clients)]
            began = time.monotonic()
            try:
                if number % 3:
                    audio = await client.audio.speech.create(
                        model="sine", voice="low", input=TEXT, response_format="pcm"
                    )
                    assert audio.content
                    self.answered["speech"] += 1
                else:
                    await client.audio.transcriptions.create(model="counter", file=RECORDING)
                    self.answered["transcription"] += 1
            except APIError as error:
                self.failed.append((began, time.monotonic(), repr(error)))
            self.longest = max(self.longest, time.monotonic() - began)

    async def more(self, requests: int) -> None:
        """Wait until so many more requests were answered."""
        until = self.answered.total() + requests
        async with asyncio.timeout(600):
            while self.answered.total() < until:  # noqa: ASYNC110 - the counter has no event
                await asyncio.sleep(0.05)

    def since(self, began: float, killed_at: float | None = None) -> dict[str, Any]:
        """Return what failed since a time; `lost` are those that were not open when a server was killed."""
        failed = [each for each in self.failed if each[1] >= began]
        lost = [each[2] for each in failed if killed_at is None or not each[0] <= killed_at <= each[1]]
        longest, self.longest = self.longest, 0.0
        return {"failed": len(failed), "lost": lost, "longest_s": round(longest, 2)}


@asynccontextmanager
async def traffic(folder: Path, tritons: Sequence[Triton]) -> AsyncIterator[Traffic]:
    """Run two gateways in front of the servers, and clients of both."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(gateway(folder, tritons)) for _ in range(2)]
        sdks = [AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=180) for url in urls]
        for sdk in sdks:
            await stack.enter_async_context(sdk)
        work = Traffic(sdks)
        running = [asyncio.create_task(work.run()) for _ in range(CLIENTS)]
        try:
            yield work
        finally:
            for task in running:
                task.cancel()
            for ended in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended
