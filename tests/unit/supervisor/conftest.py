from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.settings import Settings
from tests.ports import free_ports


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Makes settings out of what a test says alone, with free ports, whatever the caller's environment has."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    names = ["triton_http_port", "triton_grpc_port", "triton_metrics_port", "api_port"]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    return lambda **given: Settings(_env_file=None, **ports | given)


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
