"""The processes: supervisors with their Tritons, and gateways."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import psutil

from benchmarks.faults.parts import parts
from tests.e2e.server import NO_NETWORK, ROOT, descendants
from tests.ports import free_ports

START_SECONDS = 300.0


@dataclass
class Triton:
    """A supervisor with its Triton, on ports that stay the same after a restart."""

    folder: Path
    speech: str = "sine"
    transcription: str = "counter"
    grpc: int = 0
    metrics: int = 0
    process: subprocess.Popen[str] | None = None
    _starts: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._http, self.grpc, self.metrics = free_ports(3)
        self.folder.mkdir()

    async def start(self) -> None:
        """Start it, and wait until its models are ready."""
        settings = {
            "GATEWAY": "false",
            "EXTRA_FAMILIES": "tests/toy_families/sine,tests/toy_families/counter",
            "TTS_MODES": self.speech,
            "STT_MODELS": self.transcription,
            "TRITON_HTTP_PORT": str(self._http),
            "TRITON_GRPC_PORT": str(self.grpc),
            "TRITON_METRICS_PORT": str(self.metrics),
            "DRAIN_TIMEOUT": "20",
        }
        log = self.folder / f"{next(self._starts)}.log"
        self.process = _spawn([str(ROOT / "scripts/serve")], log, {**NO_NETWORK, **settings})
        wait = [sys.executable, "-m", "supervisor.environments", "supervisor", "-m", "supervisor.ready"]
        async with asyncio.timeout(START_SECONDS):
            while True:
                asked = await asyncio.create_subprocess_exec(
                    *wait,
                    cwd=ROOT,
                    env={**os.environ, **settings},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                if await asked.wait() == 0:
                    return
                if self.process.poll() is not None:
                    raise RuntimeError(f"the server ended while it started:\n{log.read_text()}")
                await asyncio.sleep(0.5)

    async def stop(self) -> float:
        """Send SIGTERM, wait for the end, and return the seconds that it took."""
        assert self.process
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, 120)
        return round(time.monotonic() - began, 1)

    def part(self) -> psutil.Process:
        """Return the process of Triton."""
        assert self.process
        return parts(self.process.pid)["triton"]

    async def answered(self) -> int:
        """Return how many requests for the models this Triton has answered since its start."""
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30)).text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("nv_inference_request_success{"))
        return sum(int(float(value)) for name, value in lines if 'model="tritone"' not in name)


@asynccontextmanager
async def gateway(folder: Path, tritons: Sequence[Triton]) -> AsyncIterator[str]:
    """Run a gateway in front of these servers; yields its address."""
    (port,) = free_ports(1)
    settings = {
        "API_PORT": str(port),
        "TRITON_GRPC_URL": ",".join(f"127.0.0.1:{triton.grpc}" for triton in tritons),
        "JOBS": "false",
        "VOICES_DIR": str(folder / "voices"),
        "CALLER_SHARE": "1",
    }
    command = [sys.executable, "-m", "supervisor.environments", "gateway", "-m", "gateway"]
    process = _spawn(command, folder / f"gateway-{port}.log", settings)
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(START_SECONDS):
            while True:
                with suppress(httpx.TransportError):
                    if (await http.get(f"http://127.0.0.1:{port}/ready")).status_code == httpx.codes.OK:
                        break
                await asyncio.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)


@asynccontextmanager
async def running(tritons: Sequence[Triton]) -> AsyncIterator[None]:
    """Start the servers, and stop those that run at the end."""
    try:
        await asyncio.gather(*(triton.start() for triton in tritons))
        yield
    finally:
        for triton in tritons:
            if triton.process and triton.process.poll() is None:
                for child in descendants(triton.process.pid):
                    if child.status() == psutil.STATUS_STOPPED:
                        child.resume()
                await triton.stop()


def _spawn(command: Sequence[str], log: Path, settings: dict[str, str]) -> subprocess.Popen[str]:
    with log.open("w") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
