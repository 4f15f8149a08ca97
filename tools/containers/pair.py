"""Two Tritons and two gateways, each restarted in turn while clients go on: no request may fail."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError

from tools.containers.client import check_speech, speak, wait_ready
from tools.containers.console import Failure, info
from tools.containers.engine import Engine

_NETWORK: Final = "tritone-pair"
_TRITONS: Final = ("tritone-pair-triton-1", "tritone-pair-triton-2")
_GATEWAYS: Final = {"tritone-pair-gateway-1": 18899, "tritone-pair-gateway-2": 18900}
_HARDENED: Final = (
    *("--init", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--network", _NETWORK, "--env", "DEVICE=cpu", "--restart", "unless-stopped"),
)
"""As compose.yaml has it."""
_CLIENTS: Final = 2


@dataclass
class _Load:
    """Clients behind a load balancer that sends a request elsewhere if a gateway takes no connection."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, first: int) -> None:
        urls = [f"http://127.0.0.1:{port}" for port in _GATEWAYS.values()]
        turn = first
        while not self._stop.is_set():
            turn += 1
            problem = ""
            for url in (urls[turn % 2], urls[(turn + 1) % 2]):
                problem = self._once(url, turn)
                if problem != "refused":
                    break
            with self._lock:
                if problem:
                    self.failures.append(problem)
                else:
                    self.answered += 1

    def _once(self, url: str, turn: int) -> str:
        try:
            audio = speak(url, f"This is request number {turn}.")
        except URLError as error:
            # While a container is replaced, its published port leads for a moment to an address that no host has.
            refused = isinstance(error.reason, OSError) and error.reason.errno in (
                errno.ECONNREFUSED,
                errno.EHOSTUNREACH,
            )
            return "refused" if refused else f"{url}: {error}"
        except (OSError, HTTPException) as error:
            return f"{url}: {error!r}"
        return "" if audio else f"{url}: an empty answer"

    def stop(self) -> None:
        self._stop.set()


def rolling_restart(engine: Engine, volume: str, images: dict[str, str]) -> dict[str, Any]:
    """Restart each of four containers while two clients speak without a pause. Raises `Failure` if a request fails."""
    with _pair(engine, volume, images):
        urls = {name: f"http://127.0.0.1:{port}" for name, port in _GATEWAYS.items()}
        for url in urls.values():
            wait_ready(url, 900)
            check_speech(url)
        load = _Load()
        clients = [threading.Thread(target=load.ask, args=(first,)) for first in range(_CLIENTS)]
        for client in clients:
            client.start()
        seconds = {}
        try:
            for name in (*_TRITONS, *_GATEWAYS):
                before, began = load.answered, time.monotonic()
                engine.run("stop", "-t", "60", name)
                engine.run("start", name)
                if name in urls:
                    wait_ready(urls[name], 300)
                else:
                    _wait_healthy(engine, name)
                seconds[name] = round(time.monotonic() - began, 1)
                info(
                    f"{name} restarted in {seconds[name]} s; {load.answered - before} requests were answered meanwhile"
                )
        finally:
            load.stop()
            for client in clients:
                client.join()
        if load.failures:
            raise Failure(f"{len(load.failures)} of {load.answered} requests failed: {load.failures[:5]}")
        again = {name: count for name in seconds if (count := int(engine.inspect(name)["RestartCount"]))}
        return {"answered": load.answered, "failed": 0, "seconds": seconds, "started_again_by_the_engine": again}


@contextmanager
def _pair(engine: Engine, volume: str, images: dict[str, str]) -> Iterator[None]:
    _remove(engine)
    engine.run("network", "create", _NETWORK)
    try:
        for name in _TRITONS:
            mounts = ["--volume", f"{volume}:/models", "--tmpfs", "/tmp:exec", "--shm-size", "1g"]
            options = ["--network-alias", "triton", "--env", "TRITONE_CACHE=/models/.cache", "--env", "GATEWAY=false"]
            engine.run("run", "-d", "--name", name, *_HARDENED, *options, *mounts, images["triton"])
        for name, port in _GATEWAYS.items():
            mounts = ["--volume", f"{volume}:/models:ro", "--tmpfs", "/tmp"]
            options = ["--env", "TRITON_GRPC_URL=dns:///triton:8001", "--publish", f"127.0.0.1:{port}:8899"]
            engine.run("run", "-d", "--name", name, *_HARDENED, *options, *mounts, images["gateway"])
        yield
    except Failure:
        for name in (*_TRITONS, *_GATEWAYS):
            with suppress(Failure):
                info(f"the end of the log of {name}:\n" + engine.run("logs", "--tail", "15", name))
        raise
    finally:
        _remove(engine)


def _remove(engine: Engine) -> None:
    for name in (*_GATEWAYS, *_TRITONS):
        with suppress(Failure):
            engine.run("rm", "--force", name)
    with suppress(Failure):
        engine.run("network", "rm", _NETWORK)


def _wait_healthy(engine: Engine, name: str) -> None:
    deadline = time.monotonic() + 900
    while True:
        try:
            engine.inside(name, "/opt/tritone/envs/supervisor/bin/python", "-m", "supervisor.ready")
        except Failure:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return
