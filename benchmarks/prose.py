"""`scripts/bench prose [--times N] [--voice NAME] [--json FILE]`: does a long text keep its voice's pace and its words?

A story of four minutes is spoken N times in one request, as a client of OpenAI's SDK asks for it, and the served
Whisper transcribes the audio. Each minute has its word error rate and its pace, which must not drift. The second part
sends the first words one by one, as a language model writes them: how soon is the first audio there, against a client
that waits for the whole text?
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import websockets
from openai import APIError, AsyncOpenAI

from benchmarks import preparation
from benchmarks.report import write
from tests.e2e.server import NO_NETWORK, ROOT, Server
from tests.e2e.words import plain

RESULTS = ROOT / "benchmarks" / "results"
STORY = Path(__file__).with_name("prose.txt").read_text()
RATE = 24_000
PACE = 0.2
"""Seconds between two words that are written: 5 words a second, as a small model on a CPU writes them."""
WRITTEN = 60
"""Words of the second part."""


@dataclass(frozen=True)
class Heard:
    """A word of a transcript, in plain form, and when it was said."""

    word: str
    start: float


async def speak(client: AsyncOpenAI, text: str, voice: str) -> tuple[bytes, dict[str, float]]:
    """Return the PCM of a text in one request, and the seconds until its first byte and its last one."""
    began, first, audio = time.monotonic(), 0.0, bytearray()
    async with client.audio.speech.with_streaming_response.create(
        model="kokoro-82m", voice=voice, input=text, response_format="pcm"
    ) as response:
        async for piece in response.iter_bytes():
            first = first or time.monotonic() - began
            audio += piece
    took = time.monotonic() - began
    seconds = len(audio) / 2 / RATE
    figures = {"first_audio": first, "took": took, "audio": seconds, "real_time_factor": took / seconds}
    return bytes(audio), {name: round(value, 3) for name, value in figures.items()}


async def hear(client: AsyncOpenAI, audio: bytes) -> list[Heard]:
    """Return the words that Whisper hears."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(RATE)
        output.writeframes(audio)
    transcript = await client.audio.transcriptions.create(
        file=("prose.wav", file.getvalue()),
        model="whisper-base",
        language="en",
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    return [Heard(word, each.start) for each in transcript.words or [] for word in plain(each.word).split()]


def minutes(text: str, heard: list[Heard]) -> list[dict[str, float]]:
    """Return the word error rate and the words of the text in each minute that is complete.

    A word of the text belongs to the minute in which its counterpart was heard, or the one before it if there is none.
    """
    expected = plain(text).split()
    aligned = jiwer.process_words(" ".join(expected), " ".join(each.word for each in heard))
    last = int(heard[-1].start // 60)
    words, errors = np.zeros(last + 1, int), np.zeros(last + 1, int)
    for chunk in aligned.alignments[0]:
        size = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for offset in range(size):
            at = min(chunk.hyp_start_idx + offset, chunk.hyp_end_idx - 1, len(heard) - 1)
            minute = int(heard[max(at, 0)].start // 60)
            errors[minute] += chunk.type != "equal"
            words[minute] += chunk.type != "insert"
    return [
        {"words": int(count), "word_error_rate": round(float(wrong / count), 4)}
        for count, wrong in zip(words[:last], errors[:last], strict=True)
    ]


def longest_pause(audio: bytes) -> float:
    """Return the seconds of the longest part below -50 dBFS."""
    samples = np.frombuffer(audio, np.int16).astype(np.float32) / 32768
    frames = samples[: samples.size // 480 * 480].reshape(-1, 480)
    loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) > 10 ** (-50 / 20))
    return round(float(np.max(np.diff(loud))) * 480 / RATE, 2)


async def written(server: Server, voice: str) -> dict[str, float]:
    """Return the seconds from the first word until the first audio, while the words arrive one by one."""
    words = STORY.split()[:WRITTEN]
    async with websockets.connect(f"{server.url.replace('http', 'ws', 1)}/v1/audio/speech/stream") as socket:
        await socket.send(json.dumps({"type": "session.config", "voice": voice, "stream_audio": True}))
        began = time.monotonic()
        sent = 0

        async def write_words() -> None:
            nonlocal sent
            for word in words:
                await socket.send(json.dumps({"type": "input.text", "text": f"{word} "}))
                sent += 1
                await asyncio.sleep(PACE)
            await socket.send(json.dumps({"type": "session.close"}))

        writing = asyncio.create_task(write_words())
        first, sent_then = 0.0, 0
        async for message in socket:
            if isinstance(message, bytes):
                if not first:
                    first, sent_then = time.monotonic() - began, sent
            elif (event := json.loads(message))["type"] == "error":
                raise RuntimeError(event["message"])
        await writing
        assert first, "no audio came"
        return {
            "first_audio": first,
            "written_at_first_audio": sent_then / len(words),
            "last": time.monotonic() - began,
        }


async def waited(client: AsyncOpenAI, voice: str) -> dict[str, float]:
    """Return the same for a client that waits until the text is complete."""
    words = STORY.split()[:WRITTEN]
    await asyncio.sleep(PACE * len(words))
    _, figures = await speak(client, " ".join(words), voice)
    return {"first_audio": PACE * len(words) + figures["first_audio"], "last": PACE * len(words) + figures["took"]}


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


async def measure(server: Server, voice: str, times: int, runs: int) -> dict[str, Any]:
    """Return the figures of both parts."""
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=7200, max_retries=0) as client:
        await speak(client, "Warm.", voice)
        live: dict[str, list[dict[str, float]]] = {"while_written": [], "when_written": []}
        for _ in range(runs):
            live["while_written"].append(await written(server, voice))
            live["when_written"].append(await waited(client, voice))
        print({kind: _median(each) for kind, each in live.items()}, flush=True)
        text = "\n\n".join([STORY] * times)
        audio, speech = await speak(client, text, voice)
        print(speech, flush=True)
        each = minutes(text, await hear(client, audio))
    return {
        "load": round(os.getloadavg()[1], 1),
        "runs": runs,
        "seconds": {kind: _median(each) for kind, each in live.items()},
        "text": {"words": len(text.split()), "characters": len(text), "voice": voice},
        "speech": {**speech, "longest_pause": longest_pause(audio)},
        "minutes": each,
    }


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="how often the story of four minutes is spoken")
    parser.add_argument("--voice", default="af_heart")
    parser.add_argument("--runs", type=int, default=3, help="of the second part")
    parser.add_argument("--json", type=Path, default=RESULTS / "prose.json")
    given = parser.parse_args()
    settings = {"TTS_MODES": "kokoro-82m", "STT_MODELS": "whisper-base", "JOBS": "false", "REQUEST_TIMEOUT": "7200"}
    weights = "kokoro-82m", "whisper-base", "silero-vad"
    with preparation.prepared_server(*weights, **NO_NETWORK, **settings) as server:
        try:
            figures = asyncio.run(measure(server, given.voice, given.times, given.runs))
        except APIError:
            print(server.log.read_text()[-4_000:])
            raise
    print(json.dumps(figures, indent=2))
    write(given.json, figures)


if __name__ == "__main__":
    main()
