"""Processes in place of the stubs of Triton's models."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

THIS: Any = SimpleNamespace(pid=os.getpid(), kill=lambda reason: None, has_ended=False)
"""This process in place of Triton: the stubs are its children."""


class Stubs:
    """Children of this process, in place of stubs; the status of a dead one is never collected meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.running: dict[str, list[subprocess.Popen[bytes]]] = {}
        self.regions: dict[str, list[Path]] = {}

    async def start(self, model: str, count: int = 1) -> None:
        for _ in range(count):
            self._start(model)

    def _start(self, model: str) -> None:
        script = self._folder / model / "1" / "model.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import time; time.sleep(600)")
        region = Path("/dev/shm", f"tritone-test-{uuid.uuid4()}")
        region.touch()
        self.regions.setdefault(model, []).append(region)
        self.running.setdefault(model, []).append(subprocess.Popen([sys.executable, script, region.name]))

    def stop(self, model: str) -> None:
        """Kill the stubs of a model."""
        for stub in self.running.get(model, ()):
            stub.kill()

    def end(self) -> None:
        for stub in itertools.chain(*self.running.values()):
            stub.kill()
            stub.wait()
        for region in itertools.chain(*self.regions.values()):
            region.unlink(missing_ok=True)
