"""`scripts/bench realtime [--runs N] [--json FILE]`: from the end of a spoken question to its answer's first audio.

A server with Kokoro and whisper-base holds conversations; OpenAI's SDK is the client and sends the question as fast as
it is spoken. A stand-in writes the answer at a fixed pace, so the language model's part of the time says nothing; the
others are ours:

- `detection`: from the last sample of speech to the end of the turn; the silence that ends it (500 ms) is part of it
- `transcription`: until the language model is asked
- `language_model`, `first_clause`: until its first word, and until its first clause is complete
- `speech`: until the client has the first audio

Every second conversation names the language of the question, whose text is wanted too; in the others it is detected.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.preparation import prepare
from benchmarks.report import write
from tests.e2e.server import NO_NETWORK, ROOT, serve
from tests.stand_ins.language_model import LanguageModelServer

RESULTS = ROOT / "benchmarks" / "results"
QUESTION = "When does the next train to the coast leave?"
ANSWER = ("It leaves at nine, ", "from platform two. ", "You ", "have ", "ten ", "minutes.")
"""The third piece completes the first clause."""
LANGUAGES = {"language_detected": None, "language_given": "en"}
PACE = 0.05
"""Seconds before each piece."""
SILENCE = 0.5
"""`silence_duration_ms` of the session."""
RATE = 24_000
BLOCK = 0.02
"""Seconds of audio in one event, as a browser sends them."""


@dataclass
class TimedLanguageModel(LanguageModelServer):
    """Notes when it is asked, and when it writes."""

    asked: float = 0.0
    wrote: list[float] = field(default_factory=list)

    async def _answer(self, request: Request) -> Response:
        self.asked, self.wrote = time.monotonic(), []
        return await super()._answer(request)

    async def _events(self, *, chat: bool) -> AsyncIterator[str]:
        async for event in super()._events(chat=chat):
            self.wrote.append(time.monotonic())
            yield event


async def speak(connection: AsyncRealtimeConnection, question: bytes, began: list[float]) -> None:
    """Send a question and the silence behind it in real time, until cancelled; note the time of the first sample."""
    block = round(BLOCK * RATE) * 2
    began.append(time.monotonic())
    sent = 0
    while True:
        piece = question[sent : sent + block].ljust(block, b"\0")
        sent += block
        await asyncio.sleep(max(0.0, began[0] + sent / 2 / RATE - time.monotonic()))
        await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())


async def one_turn(
    client: openai.AsyncOpenAI, model: TimedLanguageModel, question: bytes, language: str | None
) -> dict[str, float]:
    """Return the seconds of the parts of one turn."""
    began: list[float] = []
    stopped = first = 0.0
    end_ms = 0
    async with client.realtime.connect(model="gpt-realtime") as connection, asyncio.timeout(300):
        if language:
            heard: Any = {"transcription": {"model": "whisper-1", "language": language}}
            await connection.session.update(session={"type": "realtime", "audio": {"input": heard}})
        speaking = asyncio.create_task(speak(connection, question, began))
        try:
            async for event in connection:
                if event.type == "input_audio_buffer.speech_stopped":
                    stopped, end_ms = time.monotonic(), event.audio_end_ms
                elif event.type == "response.output_audio.delta":
                    first = first or time.monotonic()
                elif event.type == "response.done":
                    assert event.response.status == "completed", event
                    break
                elif event.type == "error":
                    raise RuntimeError(event.error.message)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
    spoken = began[0] + end_ms / 1000 - SILENCE
    parts = {
        "detection": stopped - spoken,
        "transcription": model.asked - stopped,
        "language_model": model.wrote[0] - model.asked,
        "first_clause": model.wrote[2] - model.wrote[0],
        "speech": first - model.wrote[2],
    }
    own = sum(parts[name] for name in ("detection", "transcription", "speech"))
    return {**parts, "all": first - spoken, "own": own, "own_without_silence": own - SILENCE}


async def measure(url: str, model: TimedLanguageModel, runs: int) -> dict[str, Any]:
    """Return the medians of `runs` turns of each kind, one after the other."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", timeout=300) as client:
        made = await client.audio.speech.create(
            model="kokoro-82m", voice="af_heart", input=QUESTION, response_format="pcm"
        )
        question = made.content
        await one_turn(client, model, question, None)  # warm
        turns = [
            {name: await one_turn(client, model, question, language) for name, language in LANGUAGES.items()}
            for _ in range(runs)
        ]
    return {
        "question_seconds": round(len(question) / 2 / RATE, 2),
        "language_model": f"stand-in, {len(ANSWER)} pieces, one each {PACE * 1e3:g} ms",
        "runs": runs,
        "load": [round(load, 1) for load in os.getloadavg()],
        "milliseconds": {kind: _figures([turn[kind] for turn in turns]) for kind in LANGUAGES},
    }


def _figures(found: list[dict[str, float]]) -> dict[str, dict[str, int]]:
    """Return the median and the least time of each part, in milliseconds."""
    return {
        name: {"median": round(1e3 * statistics.median(times)), "least": round(1e3 * min(times))}
        for name in found[0]
        if (times := [run[name] for run in found])
    }


async def run(log: Path, runs: int) -> dict[str, Any]:
    """Start the language model and the server, and measure."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(TimedLanguageModel(words=list(ANSWER), pace=PACE).serving())
        served = serve(log, **NO_NETWORK, LLM_URL=model.url, JOBS="false")
        server = await asyncio.to_thread(served.__enter__)
        stack.push_async_callback(asyncio.to_thread, served.__exit__, None, None, None)
        return await measure(server.url, model, runs)


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS / "realtime.json")
    given = parser.parse_args()
    prepare("kokoro-82m", "whisper-base", "silero-vad")
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(Path(folder) / "serve.log", given.runs))
    print(json.dumps(figures, indent=2))
    write(given.json, figures)


if __name__ == "__main__":
    main()
