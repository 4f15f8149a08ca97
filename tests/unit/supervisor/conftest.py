from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from supervisor.settings import Settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Makes settings out of what a test says alone, with free ports, whatever the caller's environment has."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    ports = {name.lower(): free_port() for name in Settings(_env_file=None).ports}
    return lambda **given: Settings(_env_file=None, **ports | given)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
