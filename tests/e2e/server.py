"""The whole server as an operator starts it: `scripts/serve` in a process of its own, on ports of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.plain_http import NO_TLS
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 600
STOP_TIMEOUT = 300
PATIENCE = 300.0
NO_NETWORK = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
    "PIP_NO_INDEX": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Variables that keep a server off every network but loopback."""
TOYS = {
    "EXTRA_FAMILIES": "tests/toy_families/sine,tests/toy_families/counter",
    "TTS_MODES": "sine",
    "STT_MODELS": "counter",
    "DEVICE": "cpu",
    "JOBS": "false",
}
"""Settings of a server with the two toy models, which have no weights, and start sooner than others."""


@dataclass(frozen=True)
class Server:
    """A running server, with its addresses and its log."""

    process: subprocess.Popen[str]
    http_port: int
    triton_http_port: int
    triton_grpc_port: int
    triton_metrics_port: int
    log: Path
    started_after: float = 0.0
    """Seconds from the start of the process until it was ready."""

    @property
    def url(self) -> str:
        """The address of the gateway."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc(self) -> str:
        """The gRPC address of Triton."""
        return f"127.0.0.1:{self.triton_grpc_port}"

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports in its settings; by default it does not open Triton's HTTP port."""
        return self.http_port, self.triton_http_port, self.triton_grpc_port, self.triton_metrics_port

    def metrics(self) -> dict[str, float]:
        """Return Triton's metrics: the value of each sample by its name and labels."""
        address = f"http://127.0.0.1:{self.triton_metrics_port}/metrics"
        text = httpx.get(address, timeout=300, verify=NO_TLS).raise_for_status().text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def wait_until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds; fails if the server ends before."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self, signal_number: int = signal.SIGTERM, *, group: bool = False) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, signal_number)
        return self.process.wait(STOP_TIMEOUT)


@contextmanager
def serve(log: Path, **settings: str) -> Iterator[Server]:
    """Start a server, wait until it is ready, and stop it at the end."""
    with serve_clone(ROOT, log, **settings) as server:
        yield server


@contextmanager
def serve_clone(clone: Path, log: Path, within: float = START_TIMEOUT, /, **settings: str) -> Iterator[Server]:
    """Start the server of a clone, wait `within` seconds until it is ready, and stop it at the end."""
    http, triton_http, triton_grpc, triton_metrics = ports = free_ports(4)
    names = ("API_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")
    own = {
        "JOBS_DIR": str(log.with_name("jobs")),
        "VOICES_DIR": str(log.with_name("voices")),
        **dict(zip(names, map(str, ports), strict=True)),
    }
    environment = {**os.environ, **own, **settings}
    started = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [clone / "scripts/serve"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    server = Server(process, http, triton_http, triton_grpc, triton_metrics, log)
    try:
        wait_until_ready(server, within)
        yield replace(server, started_after=time.monotonic() - started)
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            for child in descendants(process.pid):
                child.kill()
            process.kill()
            process.wait()
            raise


def descendants(pid: int) -> list[psutil.Process]:
    """Return the children of a process, their children, and so on, without those that have ended.

    Triton does not reap a model's process that was killed.
    """
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return list(filter(_is_alive, children))


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def shared_memory(processes: list[psutil.Process]) -> set[Path]:
    """Return the shared memory regions of the processes."""
    maps = [entry.path for process in processes for entry in process.memory_maps()]
    return {Path(path) for path in maps if path.startswith("/dev/shm/")}


def assert_stop_leaves_nothing(server: Server, signal_number: int, *, group: bool = False) -> None:
    """Stop a server; fail if it leaves a process, shared memory or an open port."""
    children = descendants(server.process.pid)
    assert len(children) >= 3, "Triton, stubs and the gateway"
    regions = shared_memory(children)
    assert regions, "the stubs share memory with the server"
    assert server.stop(signal_number, group=group) == 0, server.log.read_text()
    _, alive = psutil.wait_procs(children, timeout=STOP_TIMEOUT)
    assert alive == []
    assert [region for region in regions if region.exists()] == []
    for port in server.ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))


def wait_until_ready(server: Server, within: float = START_TIMEOUT) -> None:
    """Wait until the gateway says that its models are ready.

    Raises `RuntimeError` if the process ends before, and `TimeoutError` after `within` seconds.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            server.process.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise RuntimeError(f"the server ended while it started:\n{server.log.read_text()}")
        try:
            if httpx.get(f"{server.url}/ready", timeout=30, verify=NO_TLS).status_code == 200:
                return
        except httpx.TransportError:
            continue
    raise TimeoutError(f"the server was not ready in {within:g} s:\n{server.log.read_text()}")
