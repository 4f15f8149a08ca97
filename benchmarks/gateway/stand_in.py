"""A Triton whose models answer at once, in a process of its own: it prints its gRPC address, and serves until killed.

What a request takes through a gateway, and not without one, is then the gateway's own time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from tests.fake_triton import TRANSCRIPTION, Call, FakeTriton, Handler
from tests.unit.gateway.conftest import FakeSpeech, tone
from tritone.transcript import Segment, Transcript

SPEECH_SECONDS = 1.0
_TEXT = " The library closes at nine, but the reading room stays open until the last reader has gone home."


class _Whisper:
    """Hears the same sentence in every window."""

    description = TRANSCRIPTION

    def __call__(self, call: Call) -> Iterator[Any]:
        segment = Segment(0.0, 5.5, _TEXT, tuple(range(24)), 0.0, -0.2, 1.2, 0.01)
        yield Transcript("en", 1.0, (segment,)).to_columns()


class _Triton(FakeTriton):
    """Keeps no calls: there are thousands."""

    async def _answer(self, request: Any) -> Any:
        async for tensors in super()._answer(request):
            yield tensors
        self.calls.clear()


async def _serve() -> None:
    models: dict[str, Handler] = {"kokoro-82m": FakeSpeech(chunks=[tone(SPEECH_SECONDS)]), "whisper-base": _Whisper()}
    async with _Triton(models) as triton:
        print(triton.address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
