"""The gateway in front of models that answer at once: all that it adds to plain gRPC is its own time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.gateway.clients import GrpcClient, HttpClient, wav_file
from benchmarks.gateway.pairs import Call, compared, time_in_turns
from gateway.audio.decoding import AudioFile
from tests.e2e.server import ROOT
from tests.ports import free_ports
from tritone.contract import LISTEN_RATE

SECONDS = 6
TEXT = "Yes."
BLOCKS = 5
"""Blocks of requests whose processor time is measured; the median of them counts."""
_START_SECONDS = 300.0
_RECORDING = "sense_and_sensibility_01_austen_64kb-0870.wav"


@dataclass
class Gateway:
    """A gateway's process, and a client of it."""

    process: psutil.Process
    client: HttpClient

    def cpu_ms(self, work: Callable[[HttpClient], object], requests: int) -> float:
        """Return the processor time that one of so many requests takes in the gateway."""
        before = self._cpu()
        for _ in range(requests):
            work(self.client)
        return (self._cpu() - before) / requests * 1e3

    def _cpu(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


def measure(rounds: int, folder: Path, before: Path | None = None) -> dict[str, Any]:
    """Return the figures of first audio and of a transcript; `before`: another clone, whose gateway takes part."""
    samples = _recording()
    file = wav_file((samples * 32767).astype("<i2").tobytes())
    with ExitStack() as held:
        triton = held.enter_context(_stand_in())
        grpc = GrpcClient(triton)
        held.callback(grpc.close)
        clones = {"gateway": ROOT, **({"gateway before": before} if before else {})}
        gateways = {
            name: held.enter_context(_gateway(clone, triton, folder / f"{name.replace(' ', '_')}.log"))
            for name, clone in clones.items()
        }
        cases: dict[str, tuple[Call, Callable[[HttpClient], float], int]] = {
            "first audio, pcm": (partial(grpc.speak, TEXT), lambda http: http.speak(TEXT).first, rounds),
            "first audio, mp3": (partial(grpc.speak, TEXT), lambda http: http.speak(TEXT, "mp3").first, rounds // 2),
            f"transcript of {SECONDS} s": (
                partial(grpc.transcribe, samples),
                lambda http: http.transcribe(file),
                rounds // 4,
            ),
        }
        return {case: _measured(gateways, *how) for case, how in cases.items()}


def _measured(
    gateways: Mapping[str, Gateway], direct: Call, through: Callable[[HttpClient], float], rounds: int
) -> dict[str, Any]:
    """Return the figures of one case. `gRPC again` shows what noise alone adds."""
    ways = {"gRPC": direct, "gRPC again": direct}
    ways |= {name: partial(through, gateway.client) for name, gateway in gateways.items()}
    figures = compared(time_in_turns(rounds, ways, warm_up=20), "gRPC")
    blocks: dict[str, list[float]] = {name: [] for name in gateways}
    for _ in range(BLOCKS):
        for name, gateway in gateways.items():
            blocks[name].append(gateway.cpu_ms(through, max(20, rounds // BLOCKS)))
    for name, measured in blocks.items():
        figures[name]["cpu_ms"] = round(float(np.median(measured)), 2)
        figures[name]["requests_per_cpu_second"] = round(1e3 / figures[name]["cpu_ms"])
    return figures


def _recording() -> NDArray[np.float32]:
    """Return the first seconds of a reading."""
    models = Path(os.environ.get("MODEL_DIR", ROOT / "models"))
    with (models / "test-recordings" / "librivox" / _RECORDING).open("rb") as file:
        samples = np.concatenate(list(AudioFile(file, LISTEN_RATE, 60, "audio").clean_blocks()))
    return samples[: SECONDS * LISTEN_RATE]


@contextmanager
def _stand_in() -> Iterator[str]:
    """Run the Triton that answers at once; yield its address."""
    command = [sys.executable, "-m", "benchmarks.gateway.stand_in"]
    with _running(command, ROOT, {}, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield process.stdout.readline().strip()


@contextmanager
def _gateway(clone: Path, triton: str, log: Path) -> Iterator[Gateway]:
    """Run the gateway of a clone in front of `triton`."""
    (port,) = free_ports(1)
    settings = {
        "API_PORT": str(port),
        "TRITON_GRPC_URL": triton,
        "MODEL_DIR": os.environ.get("MODEL_DIR", str(ROOT / "models")),
        "VOICES_DIR": str(log.with_suffix(".voices")),
    }
    command = [sys.executable, "-m", "supervisor.environments", "gateway", "-m", "gateway"]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output, _running(command, clone, settings, stderr=output) as process:
        _wait_until_ready(process, url, log)
        client = HttpClient(url)
        try:
            yield Gateway(psutil.Process(process.pid), client)
        finally:
            client.close()


def _wait_until_ready(process: subprocess.Popen[str], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the gateway is not ready:\n{log.read_text()}")


@contextmanager
def _running(
    command: Sequence[str], folder: Path, settings: Mapping[str, str], **outputs: Any
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings}, text=True, **outputs)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
