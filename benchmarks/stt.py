"""`scripts/bench stt [--quick] [--long-seconds N] [--model ID] [--json FILE]`: against plain faster-whisper here.

Both sides hear the same recordings with the same checkpoint, compute type, beam, temperatures, voice activity detector,
threads and workers. Ours is a server of its own, asked over HTTP by as many callers as the row says. The baseline is
one `WhisperModel` in this process, asked by as many threads; where one thread gets more out of it, one thread counts.
The sides take turns, so that both meet the same noise; `cpu_ratio` compares what they compute, which a busy machine
changes least. Before that, one caller sends a long file while another sends short ones.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import tempfile
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
from benchmarks.report import write
from tests.e2e.server import ROOT, Server, descendants, serve
from tests.e2e.words import ENGLISH, word_error_rate
from tests.unit.gateway.process import peak_mb
from tritone.contract import LISTEN_RATE

MODELS = Path(os.environ.get("MODEL_DIR") or ROOT / "models")
RESULTS = ROOT / "benchmarks" / "results"
VOICES = ("af_heart", "am_adam", "bf_emma")
COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
CALLERS = (1, 4, 8, 16)
PAUSE = np.zeros(LISTEN_RATE, np.float32)


@dataclass(frozen=True)
class Clip:
    """A recording of a few seconds, and what is said in it."""

    said: str
    samples: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / LISTEN_RATE

    @property
    def file(self) -> bytes:
        """The same as FLAC."""
        return flac(self.samples)


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    rounds: int
    requests: int
    """Each caller's in a round, four times as many where there is one caller alone."""
    idle: int
    """Short requests that are timed while there is nothing else to do."""
    long_seconds: int


QUICK = Amount(rounds=1, requests=1, idle=10, long_seconds=360)
FULL = Amount(rounds=3, requests=3, idle=40, long_seconds=3600)


class Ours:
    """The server, over HTTP."""

    def __init__(self, server: Server, http: httpx.AsyncClient, model: str) -> None:
        self.server, self.http, self.model = server, http, model

    async def hear(self, file: bytes, language: str | None) -> str:
        """The text of a recording."""
        response = await self.http.post(
            "/v1/audio/transcriptions",
            data={"model": self.model, **({"language": language} if language else {})},
            files={"file": ("speech.flac", file)},
        )
        return str(response.raise_for_status().json()["text"])

    def batches(self) -> tuple[float, float]:
        """Windows that Triton has handed to the model so far, and in how many batches."""
        metrics = self.server.metrics()
        label = f'{{model="{self.model}",version="1"}}'
        return metrics[f"nv_inference_count{label}"], metrics[f"nv_inference_exec_count{label}"]

    def cpu_seconds(self) -> float:
        """What all its processes have computed so far, that of Triton's models among them."""
        times = [each.cpu_times() for each in descendants(self.server.process.pid)]
        return sum(each.user + each.system for each in times)

    def peak_mb(self) -> float:
        """The most memory that the gateway's process has had."""
        [gateway] = [each for each in descendants(self.server.process.pid) if each.cmdline()[1:] == ["-m", "gateway"]]
        return peak_mb(gateway.pid)


class Plain:
    """faster-whisper in this process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.model = WhisperModel(
            str(MODELS / settings["model"]),
            device=settings["device"],
            compute_type=settings["compute_type"],
            cpu_threads=settings["threads"],
            num_workers=settings["workers"],
        )
        self.pool = ThreadPoolExecutor(max(CALLERS))

    def cpu_seconds(self) -> float:
        """What this process has computed so far."""
        return time.process_time()

    async def hear(self, file: bytes, language: str | None) -> str:
        """The text of a recording."""

        def transcribe() -> str:
            segments, _ = self.model.transcribe(
                io.BytesIO(file),
                language=language,
                beam_size=BEAM_SIZE,
                temperature=TEMPERATURES,
                vad_filter=True,
                condition_on_previous_text=False,
            )
            return "".join(segment.text for segment in segments)

        return await asyncio.get_running_loop().run_in_executor(self.pool, transcribe)


@dataclass(frozen=True)
class Run:
    """What one side did with a row's requests."""

    speed: float
    """Seconds of audio that were heard in a second."""
    cpu: float
    """Seconds of computing for a second of audio; neighbours on the machine hardly change it."""


async def run(side: Ours | Plain, clips: list[Clip], language: str | None, callers: int, requests: int) -> Run:
    """Have `callers` each send `requests`, one after the other."""
    turns = [list(islice(cycle(clips), first, first + requests)) for first in range(callers)]
    files = {id(clip): clip.file for clip in clips}

    async def call(mine: list[Clip]) -> None:
        for clip in mine:
            await side.hear(files[id(clip)], language)

    computed, started = side.cpu_seconds(), time.perf_counter()
    await asyncio.gather(*map(call, turns))
    seconds = sum(clip.seconds for mine in turns for clip in mine)
    return Run(seconds / (time.perf_counter() - started), (side.cpu_seconds() - computed) / seconds)


async def compare(ours: Ours, plain: Plain, clips: list[Clip], amount: Amount) -> dict[str, Any]:
    """The ratios of speed and of computing, and how many windows shared a batch with eight callers."""
    figures: dict[str, dict[str, Any]] = {"aggregate_ratio": {}, "cpu_ratio": {}, "times_real_time": {}}
    batches: list[float] = []
    for name, language in {"given": "en", "auto": None}.items():
        await ours.hear(clips[0].file, language)
        await plain.hear(clips[0].file, language)
        served: dict[int, list[Run]] = {callers: [] for callers in CALLERS}
        plainly: dict[int, list[Run]] = {callers: [] for callers in CALLERS}
        for callers in list(CALLERS) * amount.rounds:
            requests = amount.requests * (4 if callers == 1 else 1)
            before = ours.batches()
            served[callers].append(await run(ours, clips, language, callers, requests))
            windows, executions = np.subtract(ours.batches(), before)
            if callers == 8:
                batches.append(windows / executions)
            plainly[callers].append(await run(plain, clips, language, callers, requests))
            row = served[callers][-1].speed, plainly[callers][-1].speed
            print(f"{name}, {callers} callers: {row[0]:.2f} | {row[1]:.2f} x real time", flush=True)
        for figure in figures.values():
            figure[name] = {}
        for callers in CALLERS:
            mine, other = middle(served[callers]), middle(plainly[callers])
            best = max(other.speed, middle(plainly[1]).speed)
            figures["aggregate_ratio"][name][str(callers)] = round(mine.speed / best, 3)
            figures["cpu_ratio"][name][str(callers)] = round(other.cpu / mine.cpu, 3)
            figures["times_real_time"][name][str(callers)] = [round(mine.speed, 2), round(other.speed, 2)]
    return {**figures, "mean_batch_at_8": round(fmean(batches), 2)}


def middle(runs: list[Run]) -> Run:
    """The medians of some runs."""
    return Run(median(run.speed for run in runs), median(run.cpu for run in runs))


async def long_and_short(ours: Ours, clips: list[Clip], amount: Amount) -> dict[str, Any]:
    """A long file alone in front of short ones: what it takes, and what it costs them."""
    short = min(clips, key=lambda clip: clip.seconds).file

    async def timed(file: bytes) -> float:
        started = time.perf_counter()
        await ours.hear(file, "en")
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
    """All figures."""
    plain = Plain(settings)
    async with httpx.AsyncClient(base_url=server.url, timeout=3600) as http:
        ours = Ours(server, http, model)
        clips = [*read_by_people(), *[await spoken(http, said, voice) for said, voice in zip(ENGLISH, cycle(VOICES))]]
        said = [clip.said for clip in clips]
        wer = {
            side: round(word_error_rate(said, [await hear(clip.file, "en") for clip in clips]), 4)
            for side, hear in {"ours": ours.hear, "faster_whisper": plain.hear}.items()
        }
        print(f"word error rate: {wer}")
        # The long file before the many callers: the mark of the most memory is to be its own.
        long = await long_and_short(ours, clips, amount)
        return {
            "settings": settings,
            "clips": {"n": len(clips), "mean_s": round(fmean(clip.seconds for clip in clips), 2)},
            "wer": wer,
            **await compare(ours, plain, clips, amount),
            **long,
        }


def read_by_people() -> list[Clip]:
    """Read aloud for LibriVox, with what was read."""
    folder = MODELS / "test-recordings" / "librivox"
    lines = re.findall(r"<s> (.*) </s> \((.*)\)", (folder / "transcription").read_text())
    return [Clip(said, decode_audio(str(folder / f"{name}.wav"), sampling_rate=LISTEN_RATE)) for said, name in lines]


async def spoken(http: httpx.AsyncClient, said: str, voice: str) -> Clip:
    """A sentence as the server's Kokoro speaks it."""
    body = {"model": "kokoro-82m", "input": said, "voice": voice, "response_format": "wav"}
    wav = (await http.post("/v1/audio/speech", json=body)).raise_for_status().content
    return Clip(said, decode_audio(io.BytesIO(wav), sampling_rate=LISTEN_RATE))


def flac(samples: NDArray[np.float32]) -> bytes:
    """The samples as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, samples, LISTEN_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def main() -> None:
    """Run and write; `--quick` is one round, and six minutes in the long file instead of an hour."""
    parser = argparse.ArgumentParser(prog="scripts/bench stt")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long-seconds", type=int, help="the long file's length, else 360 or 3600")
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
    told = {
        "WHISPER_COMPUTE_TYPE": settings["compute_type"],
        "CPU_THREADS": str(settings["threads"]),
        "STT_MODELS": settings["model"],
    }
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "serve.log", **told) as server:
        amount = QUICK if arguments.quick else FULL
        amount = replace(amount, long_seconds=arguments.long_seconds or amount.long_seconds)
        figures = asyncio.run(measure(server, arguments.model, settings, amount))
    write(arguments.json, figures)
    print({name: value for name, value in figures.items() if name not in ("settings", "times_real_time")})


if __name__ == "__main__":
    main()
