"""`scripts/bench gateway [--quick] [--json FILE] [--plot FILE]`: the cost of the HTTP side, on a server of its own.

The same requests go in turns through the gateway and directly to Triton's gRPC, so that both have the same noise; the
gateway adds the difference of their quantiles. Whisper is compared with plain faster-whisper in this process, in turns
too, on the same recordings, with the same checkpoint, compute type, beam and threads.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import tempfile
import time
import wave
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import numpy as np
from faster_whisper import WhisperModel, decode_audio
from matplotlib import pyplot
from numpy.typing import NDArray

from benchmarks.preparation import prepare
from benchmarks.report import quantiles, write
from gateway.core.triton_client import TritonClient
from tests.e2e.server import ROOT, Server, serve
from tritone.contract import LISTEN_RATE, SpeechOptions, TranscriptionOptions

VOICE = "af_heart"
SHORT = "Yes."
SENTENCE = "The library closes at nine, but the reading room stays open until the last reader has gone home."
COMPUTE_TYPE = os.environ.get("WHISPER_COMPUTE_TYPE", "int8")
BEAM = 5
RESULTS = ROOT / "benchmarks" / "results"

Times = list[float]
Call = Callable[[], Awaitable[float]]


async def alternate(rounds: int, *calls: Call) -> list[Times]:
    """Time each call `rounds` times, in turns, after one round of warm-up."""
    times: list[Times] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for index, call in enumerate(calls):
            seconds = await call()
            if turn:
                times[index].append(seconds)
        if turn % 10 == 0:
            print(f"{turn}/{rounds}", flush=True)
    return times


class GatewayBench:
    """The timed calls; each returns seconds."""

    def __init__(self, http: httpx.AsyncClient, triton: TritonClient, plain: WhisperModel) -> None:
        self._http, self._triton, self._plain = http, triton, plain

    async def speech_over_http(self, text: str) -> tuple[float, float, float]:
        """Return the seconds to the first byte and to the last, and the seconds of audio."""
        body = {"model": "kokoro-82m", "input": text, "voice": VOICE, "response_format": "pcm"}
        started, first, size = time.perf_counter(), 0.0, 0
        async with self._http.stream("POST", "/v1/audio/speech", json=body) as response:
            response.raise_for_status()
            async for data in response.aiter_raw():
                first = first or time.perf_counter() - started
                size += len(data)
        return first, time.perf_counter() - started, size / 2 / 24_000

    async def speech_over_grpc(self, text: str) -> tuple[float, float]:
        """Return the seconds to the first audio and to the last."""
        inputs = {"text": np.array([text.encode()], dtype=np.object_)}
        parameters = SpeechOptions(voice=VOICE).to_parameters()
        started, first = time.perf_counter(), 0.0
        async with aclosing(
            self._triton.stream("kokoro-82m", inputs, parameters, request_id="", timeout=60)
        ) as answers:
            async for _ in answers:
                first = first or time.perf_counter() - started
        return first, time.perf_counter() - started

    async def transcription_over_http(self, recording: bytes) -> float:
        """Return the seconds to the transcript."""
        started = time.perf_counter()
        response = await self._http.post(
            "/v1/audio/transcriptions",
            data={"model": "whisper-base", "language": "en"},
            files={"file": ("speech.wav", recording)},
        )
        response.raise_for_status()
        return time.perf_counter() - started

    async def transcription_over_grpc(self, samples: NDArray[np.float32]) -> float:
        """Return the seconds to the transcript."""
        parameters = TranscriptionOptions(language="en").to_parameters()
        started = time.perf_counter()
        await self._triton.infer("whisper-base", {"audio": samples[None]}, parameters, request_id="", timeout=60)
        return time.perf_counter() - started

    async def transcription_in_process(self, recording: bytes) -> float:
        """Return the seconds of plain faster-whisper for the file."""

        def transcribe() -> None:
            segments, _ = self._plain.transcribe(io.BytesIO(recording), language="en", beam_size=BEAM)
            for _ in segments:
                pass

        started = time.perf_counter()
        await asyncio.to_thread(transcribe)
        return time.perf_counter() - started


async def measure(server: Server, rounds: int) -> dict[str, Any]:
    """Return all figures."""
    threads = len(os.sched_getaffinity(0))
    folder = Path(os.environ.get("MODEL_DIR", ROOT / "models")) / "whisper-base"
    plain = WhisperModel(str(folder), device="cpu", compute_type=COMPUTE_TYPE, cpu_threads=threads)
    triton = TritonClient([server.grpc])
    await triton.start()
    async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
        bench = GatewayBench(http, triton, plain)
        recording = await _recording(http)
        samples = decode_audio(io.BytesIO(recording), sampling_rate=LISTEN_RATE)
        seconds = samples.size / LISTEN_RATE

        print("speech, first audio: gateway | gRPC")
        first = await alternate(
            rounds, lambda: _nth(bench.speech_over_http(SHORT), 0), lambda: _nth(bench.speech_over_grpc(SHORT), 0)
        )
        print("transcription: gateway | gRPC | plain faster-whisper")
        transcribed = await alternate(
            rounds,
            lambda: bench.transcription_over_http(recording),
            lambda: bench.transcription_over_grpc(samples),
            lambda: bench.transcription_in_process(recording),
        )
        print("speech, a whole sentence")
        sentences = [await bench.speech_over_http(SENTENCE) for _ in range(max(3, rounds // 4))]
    await triton.close()
    return {
        "rounds": rounds,
        "speech_first_audio": _compared(*first),
        "transcription": {"audio_s": round(seconds, 2), **_compared(transcribed[0], transcribed[1])},
        "kokoro": {
            "ttfa": quantiles([ttfa for ttfa, _, _ in sentences]),
            "rtf": round(float(np.median([wall / audio for _, wall, audio in sentences])), 3),
        },
        "whisper": {
            "compute_type": COMPUTE_TYPE,
            "beam": BEAM,
            "threads": threads,
            "rtf": round(float(np.median(transcribed[0])) / seconds, 4),
            "faster_whisper_rtf": round(float(np.median(transcribed[2])) / seconds, 4),
            "speed_over_faster_whisper": round(float(np.median(transcribed[2]) / np.median(transcribed[0])), 3),
        },
        "seconds": {
            "http_first": first[0],
            "grpc_first": first[1],
            "http_transcript": transcribed[0],
            "grpc_transcript": transcribed[1],
        },
    }


def plot(seconds: dict[str, Times], path: Path) -> None:
    """Plot the cumulative distributions of both pairs."""
    mpl.use("Agg")
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    pairs = {
        "first audio of a word": ("http_first", "grpc_first"),
        "a transcript": ("http_transcript", "grpc_transcript"),
    }
    for axis, (title, names) in zip(axes, pairs.items(), strict=True):
        for name, label in zip(names, ("through the gateway", "directly to Triton"), strict=True):
            values = np.sort(seconds[name]) * 1e3
            axis.step(values, np.arange(1, values.size + 1) / values.size, where="post", label=label)
        axis.set(title=title, xlabel="milliseconds", ylabel="share of requests", ylim=(0, 1))
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"written: {path}")


async def _nth(call: Awaitable[tuple[float, ...]], index: int) -> float:
    return (await call)[index]


async def _recording(http: httpx.AsyncClient) -> bytes:
    """Return the sentence as a WAV file with the right sizes in its header."""
    body = {"model": "kokoro-82m", "input": SENTENCE, "voice": VOICE, "response_format": "pcm"}
    pcm = (await http.post("/v1/audio/speech", json=body)).raise_for_status().content
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(pcm)
    return file.getvalue()


def _compared(gateway: Times, grpc: Times) -> dict[str, Any]:
    through, direct = quantiles(gateway), quantiles(grpc)
    added = {name: round(through[name] - direct[name], 2) for name in ("p50_ms", "p99_ms")}
    return {"gateway": through, "grpc": direct, "gateway_adds": added}


def main() -> None:
    """Run and write; `--quick` runs a tenth of the rounds."""
    parser = argparse.ArgumentParser(prog="scripts/bench gateway")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS / "gateway.json")
    parser.add_argument("--plot", type=Path, default=RESULTS / "gateway.png")
    arguments = parser.parse_args()
    prepare("kokoro-82m", "whisper-base", "silero-vad")
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "serve.log") as server:
        figures = asyncio.run(measure(server, 10 if arguments.quick else 100))
    seconds = figures.pop("seconds")
    write(arguments.json, figures)
    plot(seconds, arguments.plot)
    print({name: value for name, value in figures.items() if name != "rounds"})


if __name__ == "__main__":
    main()
