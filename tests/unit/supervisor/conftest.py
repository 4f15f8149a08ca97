from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from supervisor.settings import Settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Makes settings out of what a test says alone, with free ports, whatever the caller's environment has."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    names = Settings(_env_file=None).ports
    with ExitStack() as stack:  # all are held at once, so that none is given twice
        sockets = {name.lower(): stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        ports = {name: each.getsockname()[1] for name, each in sockets.items()}
    return lambda **given: Settings(_env_file=None, **ports | given)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NvidiaSmi:
    """A shell script in front of PATH that answers as `nvidia-smi` does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *lines: str, then: str = "") -> None:
        said = "\n".join(lines)
        script = self._folder / "nvidia-smi"
        script.write_text(f"#!/bin/sh\necho \"$*\" > '{self._folder}/asked'\ncat <<'END'\n{said}\nEND\n{then}\n")
        script.chmod(0o755)

    def asked(self) -> str:
        """The arguments that it was last given."""
        return (self._folder / "asked").read_text()


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvidiaSmi:
    folder = tmp_path / "driver"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return NvidiaSmi(folder)
