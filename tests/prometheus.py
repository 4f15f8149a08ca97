"""A Prometheus server of its own, from the system's packages, on a free port of loopback."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.ports import free_ports

HOW_TO_INSTALL = "Prometheus is not installed: apt-get install prometheus"
PROGRAM = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
_START_SECONDS = 300


class Prometheus:
    """`with Prometheus({"triton": "127.0.0.1:8002"}) as server:` scrapes these targets every two seconds."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        """`targets`: job -> address, of which `/metrics` is read."""
        assert PROGRAM, HOW_TO_INSTALL
        self._folder = Path(tempfile.mkdtemp(prefix="prometheus-"))
        (port,) = free_ports(1)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300)
        config = {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()
            ],
        }
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._command = [
            *("setpriv", "--pdeathsig", "KILL", PROGRAM),  # it must not outlive tests that are killed
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def __enter__(self) -> Self:
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(300)
        self._http.close()
        shutil.rmtree(self._folder)

    def values(self, query: str) -> list[float]:
        """Return the present values of a query, without those that are no numbers."""
        answer: dict[str, Any] = self._http.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
        return [value for value in values if not math.isnan(value)]

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False
