"""`scripts/bench stt [--quick] [--long-seconds N] [--model ID] [--json FILE]`: a comparison with plain faster-whisper.

Both sides transcribe the same recordings with the same checkpoint, compute type, beam, temperatures, voice activity
detector, threads and workers; on a CPU ours encodes clips whose language is given in a window of their length
(`scripts/bench clips`), unless WHISPER_SHORT_CLIPS is off. Ours is a server of its own, with as many HTTP clients as
the row says. The baseline is one `WhisperModel` in this process, with as many threads; if one thread is faster, one
thread counts. The sides run in turns, so that both have the same noise; `cpu_ratio` compares their CPU time, which a
busy machine changes least. Before
that, one client sends a long file while another sends short ones.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean, median
from typing import Any

import ctranslate2
import httpx
import numpy as np
import psutil
import soundfile
from faster_whisper import WhisperModel, decode_audio
from numpy.typing import NDArray

from adapters.whisper.checkpoint import parallel_calls
from adapters.whisper.decoding import BEAM_SIZE, TEMPERATURES
from benchmarks import preparation
from benchmarks.report import write
from tests.e2e.server import ROOT, Server, descendants
from tests.e2e.words import ENGLISH, word_error_rate
from tests.unit.gateway.process import peak_mb
from tritone.contract import LISTEN_RATE

RESULTS = ROOT / "benchmarks" / "results"
VOICES = ("af_heart", "am_adam", "bf_emma")
COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
PAUSE = np.zeros(LISTEN_RATE, np.float32)


@dataclass(frozen=True)
class Clip:
    """A recording of a few seconds, and its text."""

    text: str
    samples: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """The length of the recording."""
        return len(self.samples) / LISTEN_RATE

    @property
    def file(self) -> bytes:
        """The recording as a FLAC file."""
        return flac(self.samples)


@dataclass(frozen=True)
class Amount:
    """The amount of measurements."""

    rounds: int
    requests: int
    """Requests of each client in a round."""
    single: int
    """Times as many requests, if there is only one client."""
    idle: int
    """Short requests that are timed on the idle server."""
    long_seconds: int
    clients: tuple[int, ...] = (1, 4, 8, 16)
    """The number of clients in each row."""


QUICK = Amount(rounds=1, requests=1, single=4, idle=10, long_seconds=360)
FULL = Amount(rounds=3, requests=3, single=4, idle=40, long_seconds=3600)


class Ours:
    """The server, over HTTP."""

    def __init__(self, server: Server, http: httpx.AsyncClient, model: str) -> None:
        self.server, self.http, self.model = server, http, model

    async def transcribe(self, file: bytes, language: str | None) -> str:
        """Return the text of a recording."""
        response = await self.http.post(
            "/v1/audio/transcriptions",
            data={"model": self.model, **({"language": language} if language else {})},
            files={"file": ("speech.flac", file)},
        )
        return str(response.raise_for_status().json()["text"])

    def batches(self) -> tuple[float, float]:
        """Return the numbers of windows and of batches that the model got so far."""
        metrics = self.server.metrics()
        label = f'{{model="{self.model}",version="1"}}'
        return metrics[f"nv_inference_count{label}"], metrics[f"nv_inference_exec_count{label}"]

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes so far."""
        times = [each.cpu_times() for each in descendants(self.server.process.pid)]
        return sum(each.user + each.system for each in times)

    def peak_mb(self) -> float:
        """Return the peak memory of the gateway's process."""
        [gateway] = [each for each in descendants(self.server.process.pid) if each.cmdline()[1:3] == ["-m", "gateway"]]
        return peak_mb(gateway.pid)


class Plain:
    """faster-whisper in this process."""

    def __init__(self, settings: dict[str, Any], clients: int) -> None:
        self.model = WhisperModel(
            str(preparation.model_dir() / settings["model"]),
            device=settings["device"],
            compute_type=settings["compute_type"],
            cpu_threads=settings["threads"],
            num_workers=settings["workers"],
        )
        self.pool = ThreadPoolExecutor(clients)

    def cpu_seconds(self) -> float:
        """Return the CPU time of this process so far."""
        return time.process_time()

    async def transcribe(self, file: bytes, language: str | None) -> str:
        """Return the text of a recording."""

        def run() -> str:
            segments, _ = self.model.transcribe(
                io.BytesIO(file),
                language=language,
                beam_size=BEAM_SIZE,
                temperature=TEMPERATURES,
                vad_filter=True,
                condition_on_previous_text=False,
            )
            return "".join(segment.text for segment in segments)

        return await asyncio.get_running_loop().run_in_executor(self.pool, run)


@dataclass(frozen=True)
class SideRun:
    """The result of one side for the requests of a row."""

    speed: float
    """Seconds of audio that were transcribed in a second."""
    cpu: float
    """CPU seconds for a second of audio; other work of the machine hardly changes them."""


async def run(side: Ours | Plain, clips: list[Clip], language: str | None, clients: int, requests: int) -> SideRun:
    """Send `requests`, one after the other, from each of `clients` clients."""
    lists = [list(islice(cycle(clips), first, first + requests)) for first in range(clients)]
    files = {id(clip): clip.file for clip in clips}

    async def call(own: list[Clip]) -> None:
        for clip in own:
            await side.transcribe(files[id(clip)], language)

    cpu, started = side.cpu_seconds(), time.perf_counter()
    await asyncio.gather(*map(call, lists))
    seconds = sum(clip.seconds for own in lists for clip in own)
    return SideRun(seconds / (time.perf_counter() - started), (side.cpu_seconds() - cpu) / seconds)


async def compare(ours: Ours, plain: Plain, clips: list[Clip], amount: Amount) -> dict[str, Any]:
    """Return the ratios of speed and of CPU time, and the mean windows of a batch with eight clients."""
    figures: dict[str, dict[str, Any]] = {"aggregate_ratio": {}, "cpu_ratio": {}, "times_real_time": {}}
    batches: list[float] = []
    for name, language in {"given": "en", "auto": None}.items():
        await ours.transcribe(clips[0].file, language)
        await plain.transcribe(clips[0].file, language)
        served: dict[int, list[SideRun]] = {clients: [] for clients in amount.clients}
        baseline: dict[int, list[SideRun]] = {clients: [] for clients in amount.clients}
        for clients in list(amount.clients) * amount.rounds:
            requests = amount.requests * (amount.single if clients == 1 else 1)
            before = ours.batches()
            served[clients].append(await run(ours, clips, language, clients, requests))
            windows, executions = np.subtract(ours.batches(), before)
            if clients == 8:
                batches.append(windows / executions)
            baseline[clients].append(await run(plain, clips, language, clients, requests))
            row = served[clients][-1].speed, baseline[clients][-1].speed
            print(f"{name}, {clients} clients: {row[0]:.2f} | {row[1]:.2f} x real time", flush=True)
        for figure in figures.values():
            figure[name] = {}
        for clients in amount.clients:
            own, other = middle(served[clients]), middle(baseline[clients])
            best = max(other.speed, middle(baseline[1]).speed)
            figures["aggregate_ratio"][name][str(clients)] = round(own.speed / best, 3)
            figures["cpu_ratio"][name][str(clients)] = round(other.cpu / own.cpu, 3)
            figures["times_real_time"][name][str(clients)] = [round(own.speed, 2), round(other.speed, 2)]
    return {**figures, **({"mean_batch_at_8": round(fmean(batches), 2)} if batches else {})}


def middle(runs: list[SideRun]) -> SideRun:
    """Return the medians of some runs."""
    return SideRun(median(run.speed for run in runs), median(run.cpu for run in runs))


async def long_and_short(ours: Ours, clips: list[Clip], amount: Amount) -> dict[str, Any]:
    """Return the time of a long file, and the times of short ones without it and beside it."""
    short = min(clips, key=lambda clip: clip.seconds).file

    async def timed(file: bytes) -> float:
        started = time.perf_counter()
        await ours.transcribe(file, "en")
        return time.perf_counter() - started

    idle = [await timed(short) for _ in range(amount.idle)]
    pieces = [piece for clip in clips for piece in (clip.samples, PAUSE)]
    samples = np.resize(np.concatenate(pieces), amount.long_seconds * LISTEN_RATE)
    long = asyncio.create_task(timed(flac(samples)))
    beside = []
    while not long.done():
        beside.append(await timed(short))
    wall = await long
    p95 = {name: float(np.percentile(times, 95)) for name, times in {"idle": idle, "under_long": beside}.items()}
    return {
        "short_p95_under_long_ratio": round(p95["under_long"] / p95["idle"], 2),
        "short_s": {
            **{f"p95_{name}": round(seconds, 3) for name, seconds in p95.items()},
            "p50_idle": round(median(idle), 3),
            "p50_under_long": round(median(beside), 3),
            "n_under_long": len(beside),
        },
        "long_file": {
            "audio_s": amount.long_seconds,
            "wall_s": round(wall, 1),
            "peak_mb": round(ours.peak_mb(), 1),
        },
    }


async def measure(server: Server, model: str, settings: dict[str, Any], amount: Amount) -> dict[str, Any]:
    """Return all figures."""
    plain = Plain(settings, max(amount.clients))
    async with httpx.AsyncClient(base_url=server.url, timeout=3600) as http:
        ours = Ours(server, http, model)
        clips = [*librivox(), *[await synthesize(http, text, voice) for text, voice in zip(ENGLISH, cycle(VOICES))]]
        texts = [clip.text for clip in clips]
        wer = {
            side: round(word_error_rate(texts, [await transcribe(clip.file, "en") for clip in clips]), 4)
            for side, transcribe in {"ours": ours.transcribe, "faster_whisper": plain.transcribe}.items()
        }
        print(f"word error rate: {wer}")
        # The long file comes before the many clients, so that the peak memory is that of the long file.
        long = await long_and_short(ours, clips, amount)
        return {
            "settings": settings,
            "clips": {"n": len(clips), "mean_s": round(fmean(clip.seconds for clip in clips), 2)},
            "wer": wer,
            **await compare(ours, plain, clips, amount),
            **long,
        }


def librivox() -> list[Clip]:
    """Return recordings that volunteers read for LibriVox."""
    folder = preparation.model_dir() / "test-recordings" / "librivox"
    lines = re.findall(r"<s> (.*) </s> \((.*)\)", (folder / "transcription").read_text())
    return [Clip(text, decode_audio(str(folder / f"{name}.wav"), sampling_rate=LISTEN_RATE)) for text, name in lines]


async def synthesize(http: httpx.AsyncClient, text: str, voice: str) -> Clip:
    """Return a sentence that the server's Kokoro synthesizes."""
    body = {"model": "kokoro-82m", "input": text, "voice": voice, "response_format": "wav"}
    wav = (await http.post("/v1/audio/speech", json=body)).raise_for_status().content
    return Clip(text, decode_audio(io.BytesIO(wav), sampling_rate=LISTEN_RATE))


def flac(samples: NDArray[np.float32]) -> bytes:
    """Return the samples as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, samples, LISTEN_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def main() -> None:
    """Run and write; `--quick` is one round, and a long file of six minutes instead of an hour."""
    parser = argparse.ArgumentParser(prog="scripts/bench stt")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long-seconds", type=int, help="length of the long file (default: 3600; with --quick 360)")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--json", type=Path, default=RESULTS / "stt.json")
    arguments = parser.parse_args()
    device = "cuda" if os.environ.get("DEVICE") != "cpu" and ctranslate2.get_cuda_device_count() else "cpu"
    settings: dict[str, Any] = {
        "model": arguments.model,
        "device": device,
        "compute_type": os.environ.get("WHISPER_COMPUTE_TYPE") or COMPUTE_TYPES[device],
        "beam": BEAM_SIZE,
        "temperatures": TEMPERATURES,
        "vad": "silero v6",
        "condition_on_previous_text": False,
        "threads": int(os.environ.get("CPU_THREADS") or len(psutil.Process().cpu_affinity())),
        "workers": parallel_calls(device) + 1,
    }
    variables = {
        "WHISPER_COMPUTE_TYPE": settings["compute_type"],
        "CPU_THREADS": str(settings["threads"]),
        "STT_MODELS": settings["model"],
        # All clients have one address, and more of them than an ordinary server would let wait.
        "CALLER_SHARE": "1",
        "MAX_WAIT": "600",
        "REQUEST_TIMEOUT": "7200",
    }
    weights = arguments.model, "kokoro-82m", "silero-vad", "test-recordings"
    with preparation.prepared_server(*weights, **variables) as server:
        amount = QUICK if arguments.quick else FULL
        amount = replace(amount, long_seconds=arguments.long_seconds or amount.long_seconds)
        figures = asyncio.run(measure(server, arguments.model, settings, amount))
    write(arguments.json, figures)
    print({name: value for name, value in figures.items() if name not in ("settings", "times_real_time")})


if __name__ == "__main__":
    main()
