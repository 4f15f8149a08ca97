"""The same requests to the real models: in process, over plain gRPC, and through the gateway.

Whisper in process is plain faster-whisper, with the same checkpoint, compute type, beam and threads, which also decodes
the file; Kokoro in process is its model without Triton.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel, decode_audio

from benchmarks.gateway.clients import VOICE, GrpcClient, HttpClient, wav_file
from benchmarks.gateway.pairs import Times, compared, time_in_turns
from benchmarks.report import quantiles
from tests.e2e.server import ROOT, Server
from tritone.contract import LISTEN_RATE, SPEECH_RATE

SHORT = "Yes."
SENTENCE = "The library closes at nine, but the reading room stays open until the last reader has gone home."
COMPUTE_TYPE = os.environ.get("WHISPER_COMPUTE_TYPE", "int8")
BEAM = 5


def measure(server: Server, rounds: int) -> tuple[dict[str, Any], dict[str, Times]]:
    """Return all figures, and the times of the cases."""
    with ExitStack() as held:
        http = held.enter_context(closing(HttpClient(server.url)))
        grpc = held.enter_context(closing(GrpcClient(server.grpc)))
        in_process = held.enter_context(_kokoro())
        spoken = http.speak(SENTENCE)
        recording = wav_file(spoken.audio, SPEECH_RATE)
        samples = decode_audio(io.BytesIO(recording), sampling_rate=LISTEN_RATE)
        seconds = samples.size / LISTEN_RATE
        times = {
            "first audio, Kokoro": time_in_turns(
                rounds,
                {
                    "in process": partial(in_process, SHORT),
                    "gRPC": partial(grpc.speak, SHORT),
                    "gateway": lambda: http.speak(SHORT).first,
                },
            ),
            f"transcript of {seconds:.1f} s, Whisper": time_in_turns(
                rounds,
                {
                    "in process": partial(_transcribe, _whisper(), recording),
                    "gRPC": partial(grpc.transcribe, samples),
                    "gateway": partial(http.transcribe, recording),
                },
            ),
        }
        sentences = [http.speak(SENTENCE) for _ in range(max(3, rounds // 4))]
    _, transcript = times
    plain, served = (float(np.median(times[transcript][way])) for way in ("in process", "gateway"))
    return {
        "cases": {case: compared(measured, "gRPC") for case, measured in times.items()},
        "kokoro": {
            "ttfa": quantiles([each.first for each in sentences]),
            "rtf": round(float(np.median([each.whole / (len(each.audio) / 2 / SPEECH_RATE) for each in sentences])), 3),
        },
        "whisper": {
            "compute_type": COMPUTE_TYPE,
            "beam": BEAM,
            "threads": len(os.sched_getaffinity(0)),
            "rtf": round(served / seconds, 4),
            "faster_whisper_rtf": round(plain / seconds, 4),
            "speed_over_faster_whisper": round(plain / served, 3),
        },
    }, times


def _whisper() -> WhisperModel:
    folder = Path(os.environ.get("MODEL_DIR", ROOT / "models")) / "whisper-base"
    threads = len(os.sched_getaffinity(0))
    return WhisperModel(str(folder), device="cpu", compute_type=COMPUTE_TYPE, cpu_threads=threads)


def _transcribe(model: WhisperModel, recording: bytes) -> float:
    """Return the seconds of plain faster-whisper for the file."""
    began = time.perf_counter()
    segments, _ = model.transcribe(io.BytesIO(recording), language="en", beam_size=BEAM)
    assert list(segments)
    return time.perf_counter() - began


@contextmanager
def _kokoro() -> Iterator[Callable[[str], float]]:
    """Run Kokoro without Triton; yield a function that returns the seconds to the first audio of a text."""
    command = [sys.executable, "-m", "supervisor.environments", "kokoro", "-m", "benchmarks.gateway.in_process"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def first_audio(text: str) -> float:
            stdin.write(f"{VOICE} {text}\n")
            stdin.flush()
            return float(stdout.readline())

        try:
            if stdout.readline().strip() != "ready":
                raise RuntimeError("Kokoro does not start in a process of its own")
            yield first_audio
        finally:
            stdin.close()
            process.wait(60)
