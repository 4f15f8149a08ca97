"""The benchmarks that start servers of their own, in their smallest size."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks import start
from benchmarks.pools import __main__ as pools
from supervisor.cache import cache_folder
from tests.e2e.server import NO_NETWORK, ROOT


def test_start_serves_from_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_NETWORK.items():
        monkeypatch.setenv(name, value)
    figures = start.measure("uv", ROOT, tmp_path, TRITONE_CACHE=str(cache_folder()))
    assert figures["first_s"] > 0
    assert figures["second_s"] > 0
    assert figures["environments_s"] == {}, "the cache has them"


def test_pools_lose_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SPREAD", 20)
    figures = asyncio.run(pools.two_pools(tmp_path))
    assert figures["answered"]
    assert not figures["lost"]
