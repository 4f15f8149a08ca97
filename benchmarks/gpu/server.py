"""The same load through Triton and the gateway, from a client's side: the cost of the path."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.playback import ttfa
from benchmarks.gpu.rig import POSITIONS, Rig
from benchmarks.gpu.steps import Step
from benchmarks.gpu.worker import free_memory
from supervisor.environments import Environment
from tests.ports import free_ports
from tritone.contract import SPEECH_RATE

STREAMS = (1, 16, 64)
_ROOT = Path(__file__).parents[2]
_NEEDED = ("supervisor", "gateway", "qwen", "triton")
_START_SECONDS = 120
_PORTS = ("API_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")


def steps(rig: Rig) -> Iterator[Step]:
    """Start a server, and send requests from many clients at once."""
    missing = [name for name in _NEEDED if not Environment(name).is_complete]
    if missing:
        yield Step("skipped", 0, lambda: f"no server can be started: not built here: {', '.join(missing)}")
        return
    rig.checkpoint  # noqa: B018 - it is written before the server looks for it
    free_memory(rig.options.device)
    streams = rig.options.pick(STREAMS, (1, 2))
    with _server(rig, max(streams)) as port:
        _request(rig, port, 0, 10)
        for n in streams:
            yield Step(f"{n}", 10, partial(_together, rig, port, n))


def _together(rig: Rig, port: int, n: int) -> dict[str, Any]:
    """Send `n` requests at the same moment, and wait for the last."""
    frames = rig.options.pick(125, 25)
    with ThreadPoolExecutor(n) as clients:
        started = time.perf_counter()
        answers = list(clients.map(lambda index: _request(rig, port, index, frames), range(n)))
        seconds = time.perf_counter() - started
    return {
        "times_real_time": round(sum(audio for _, audio in answers) / seconds, 2),
        **ttfa([first for first, _ in answers], 50, 95),
    }


def _request(rig: Rig, port: int, index: int, frames: int) -> tuple[float, float]:
    """Send a request. Return the seconds to the first audio, and the seconds of audio."""
    speech = rig.request(index, frames)
    body = {
        "model": _model(rig),
        "input": speech.text,
        "voice": speech.voice,
        "response_format": "pcm",
        "max_new_tokens": frames + 1,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    started, first, size = time.perf_counter(), 0.0, 0
    connection.request("POST", "/v1/audio/speech", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {response.read(500).decode()}")
    while piece := response.read1():
        first = first or time.perf_counter() - started
        size += len(piece)
    connection.close()
    return first, size / 2 / SPEECH_RATE


@contextmanager
def _server(rig: Rig, slots: int) -> Iterator[int]:
    """Run a server. Yield its gateway's port once all is ready."""
    ports = free_ports(len(_PORTS))
    settings = {
        **dict(zip(_PORTS, map(str, ports), strict=True)),
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
            _wait_until_ready(process, ports[0], log)
            yield ports[0]
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
