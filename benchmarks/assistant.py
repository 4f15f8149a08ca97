"""`scripts/bench assistant [--llm URL] [--runs N] [--json FILE]`: how soon an assistant speaks while its model writes.

A server with Kokoro answers prompts. Without `--llm` a stand-in writes the answer at a fixed pace: it shows what the
gateway does, not how fast a language model is. The alternative is what a client would do without `/assistant`: read the
whole answer, then send it to `/v1/audio/speech`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

from benchmarks import preparation
from benchmarks.report import write
from gateway.core.assistant import AssistantRequest, assist
from gateway.core.language_model import Message
from gateway.core.services import Services, open_services
from gateway.core.synthesize import SynthesisRequest, synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.settings import GatewaySettings
from tests.e2e.server import NO_NETWORK, ROOT
from tests.stand_ins.language_model import LanguageModelServer

RESULTS = ROOT / "benchmarks" / "results"
PROMPT = "What should I see in Lisbon in a day?"
ANSWER = (
    "Begin at the river, where the boats leave. Then take the old tram up the hill, and walk down through the narrow "
    "streets of Alfama. At noon, eat grilled fish in one of the small places there. In the afternoon, visit the tile "
    "museum, which most people miss. End the day at one of the high terraces, where you see the sun go down."
)
PACE = 0.2
"""Seconds between two words of the stand-in: 5 words a second, as a small model on a CPU writes them."""


async def spoken_while_written(services: Services) -> dict[str, float]:
    """Return the seconds until the first audio, the end of the text and the end of the audio."""
    began = time.monotonic()
    answer = await assist(services, AssistantRequest(PROMPT, _speech("")), WorkTelemetry("bench"))
    first, size_then = 0.0, 0
    async with aclosing(answer.encoded()) as pieces:
        async for _ in pieces:
            if not first:
                first, size_then = time.monotonic() - began, len(answer.text)
    return {
        "first_audio": first,
        "written_at_first_audio": size_then / len(answer.text),
        "last_audio": time.monotonic() - began,
        "audio": answer.audio_seconds,
    }


async def spoken_when_written(services: Services) -> dict[str, float]:
    """Return the same for a client that waits for the whole answer."""
    began = time.monotonic()
    text = await services.language_model.complete([Message("user", PROMPT)])
    written = time.monotonic() - began
    speech = await synthesize(services, _speech(text), WorkTelemetry("bench"))
    first = 0.0
    async with aclosing(speech.encoded()) as pieces:
        async for _ in pieces:
            first = first or time.monotonic() - began
    return {"first_audio": first, "written": written, "last_audio": time.monotonic() - began}


def _speech(text: str) -> SynthesisRequest:
    return SynthesisRequest(text, "kokoro-82m", "af_heart", audio_format="pcm")


def _median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


async def measure(url: str, triton: str, runs: int) -> dict[str, Any]:
    """Return the medians of `runs` answers of each kind, one after the other."""
    async with AsyncExitStack() as stack:
        stand_in = not url
        if stand_in:
            words = [f"{word} " for word in ANSWER.split()]
            url = (await stack.enter_async_context(LanguageModelServer(words=words, pace=PACE).serving())).url
        settings = GatewaySettings(llm_url=url, triton_grpc_url=(triton,))
        services = await stack.enter_async_context(open_services(settings))
        async with asyncio.timeout(60):
            while not services.triton.served.reached:  # noqa: ASYNC110 - the document has no event
                await asyncio.sleep(0.05)
        await spoken_while_written(services)  # warm
        found: dict[str, list[dict[str, float]]] = {"while_written": [], "when_written": []}
        for _ in range(runs):
            found["while_written"].append(await spoken_while_written(services))
            found["when_written"].append(await spoken_when_written(services))
    return {
        "language_model": f"stand-in, a word each {PACE * 1e3:g} ms" if stand_in else url,
        "runs": runs,
        "load": round(os.getloadavg()[1], 1),
        "seconds": {kind: _median(each) for kind, each in found.items()},
    }


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="", help="base address of a language model")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS / "assistant.json")
    given = parser.parse_args()
    with preparation.prepared_server("kokoro-82m", **NO_NETWORK, STT_MODELS="none", JOBS="false") as server:
        figures = asyncio.run(measure(given.llm, server.grpc, given.runs))
    print(json.dumps(figures, indent=2))
    write(given.json, figures)


if __name__ == "__main__":
    main()
