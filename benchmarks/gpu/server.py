"""The same requests in the process, through Triton, and through Triton and the gateway: the cost of the path."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from adapters.qwen3_tts.inflight.engine import InflightEngine
from benchmarks.gateway.pairs import compared, table, time_in_turns
from benchmarks.gpu.arrivals import QUEUE, SLOTS, frames
from benchmarks.gpu.engine_client import PlaybackClient, accepted, wait
from benchmarks.gpu.playback import of_load, open_loop, poisson
from benchmarks.gpu.rig import POSITIONS, Rig
from benchmarks.gpu.steps import Step
from benchmarks.gpu.worker import free_memory
from supervisor.environments import Environment
from tests.ports import free_ports

RATE = 20
"""Requests per second."""
STREAMS = 64
_IN_PROCESS = "in process"
_ROOT = Path(__file__).parents[2]
_NEEDED = ("supervisor", "gateway", "qwen", "triton")
_START_SECONDS = 120
_PORTS = ("API_PORT", "TRITON_GRPC_PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")

Load = Callable[[list[float], Callable[[int], int]], dict[str, float]]
"""Seconds at which requests start, and the frames of each by its index -> figures as in `of_load`."""


def steps(rig: Rig) -> Iterator[Step]:
    """Send the same requests each way: alone in turns, at random moments, and all at once.

    The engine of this process and the server's are both on the device, but work in turns.
    """
    missing = [name for name in _NEEDED if not Environment(name).is_complete]
    if missing:
        yield Step("skipped", 0, lambda: f"no server can be started: not built here: {', '.join(missing)}")
        return
    rig.checkpoint  # noqa: B018 - it is written before the server looks for it
    free_memory(rig.options.device)
    slots, together = rig.options.pick((SLOTS, STREAMS), (8, 2))
    with _server(rig, slots) as ports, _client(rig, ports) as sent, rig.engine(slots, queue=QUEUE) as engine:
        ways: dict[str, Load] = {
            _IN_PROCESS: partial(_in_process, rig, engine),
            **{way: partial(sent, way) for way in ("Triton", "gateway")},
        }
        for load in ways.values():
            load([0.0], lambda _: 10)
        yield Step("alone", 45, lambda: _alone(rig, ways))
        rate = rig.options.pick(RATE, 2)
        starts = poisson(rate, rig.options.pick(10.0, 2.0))
        length = frames(rig, len(starts))
        yield Step(f"{rate} a second", 45, lambda: {way: load(starts, length) for way, load in ways.items()})
        at_once, seconds_long = [0.0] * together, rig.options.pick(125, 25)
        yield Step(
            f"{together} at once",
            30,
            lambda: {way: load(at_once, lambda _: seconds_long) for way, load in ways.items()},
        )


def _alone(rig: Rig, ways: dict[str, Load]) -> dict[str, Any]:
    """Send single requests each way in turns. Return quantiles of the time to first audio, and what each way adds."""

    def one(load: Load) -> float:
        return load([0.0], lambda _: rig.options.pick(12, 4))["ttfa_p50_ms"] / 1e3

    times = time_in_turns(rig.options.pick(100, 3), {way: partial(one, load) for way, load in ways.items()})
    figures = compared(times, _IN_PROCESS)
    print(table({"first audio, alone": figures}), flush=True)
    return figures


def _in_process(
    rig: Rig, engine: InflightEngine, starts: list[float], length: Callable[[int], int]
) -> dict[str, float]:
    def submit(index: int, planned: float) -> PlaybackClient:
        return rig.submit(engine, index, length(index), requested=planned)

    clients, late = open_loop(starts, submit)
    wait(clients)
    return of_load(accepted(clients), late)


@contextmanager
def _client(rig: Rig, ports: dict[str, int]) -> Iterator[Callable[[str, list[float], Callable[[int], int]], Any]]:
    """Run a client process. Yield a function that sends requests one way."""
    arguments = (ports["API_PORT"], ports["TRITON_GRPC_PORT"], _model(rig))
    command = [str(Environment("gateway").python), "-m", "benchmarks.gpu.server_client", *map(str, arguments)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def sent(way: str, starts: list[float], length: Callable[[int], int]) -> dict[str, float]:
            requests = [rig.request(index, length(index)) for index in range(len(starts))]
            plan = {
                "way": way,
                "starts": starts,
                "texts": [each.text for each in requests],
                "voices": [each.voice for each in requests],
                "frames": [length(index) for index in range(len(starts))],
            }
            assert process.stdin
            assert process.stdout
            print(json.dumps(plan), file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the client process ended with status {process.wait()}")
            figures: dict[str, float] = json.loads(line)
            return figures

        try:
            yield sent
        finally:
            process.kill()


@contextmanager
def _server(rig: Rig, slots: int) -> Iterator[dict[str, int]]:
    """Run a server. Yield its ports once all is ready."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    settings = {
        **{name: str(port) for name, port in ports.items()},
        "MODEL_DIR": str(rig.checkpoint.folder.parent),
        "TTS_MODES": _model(rig),
        "STT_MODELS": "none",
        "DEVICE": "cpu" if rig.device.type == "cpu" else "cuda",
        "QWEN_SLOTS": str(slots),
        "QWEN_KV_POSITIONS": str(POSITIONS),
        "QWEN_RUNAWAY_SECONDS": "0",
        "CALLER_SHARE": "1",
    }
    log = rig.options.out.with_name(f"{rig.options.out.stem}-server.log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [_ROOT / "scripts" / "serve"], env=os.environ | settings, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_ready(process, ports["API_PORT"], log)
            yield ports
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the server was not ready in time:\n{log.read_text()[-2000:]}")


def _model(rig: Rig) -> str:
    return f"qwen3-tts-{rig.size.lower()}"
