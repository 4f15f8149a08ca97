"""Models that nobody uses, by Triton's metrics and by the wishes of gateways."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor import idle
from supervisor.idle import IdleWatch
from tritone.wanted import want

PATIENCE = 300.0


class Metrics:
    """Triton's metrics, and the clock: it stands still between the calls of `looked`."""

    def __init__(self) -> None:
        self.requests = 3.0
        self.open = 0.0
        self.pending = 0.0
        self.long = 0.0
        self.look = asyncio.Event()
        self.now = 0.0

    async def read(self) -> str:
        self.look.set()
        return "\n".join(
            [
                "# TYPE tritone_requests_total counter",
                f'tritone_requests_total{{model="base"}} {self.requests}',
                'tritone_requests_total{model="other"} 77',
                f'tritone_open_requests{{model="base"}} {self.open}',
                f'tritone_open_requests{{model="long"}} {self.long}',
                f'nv_inference_pending_request_count{{model="base",version="1"}} {self.pending}',
                'nv_inference_request_success{model="base",version="1"} 99',
            ]
        )

    async def looked(self, times: int = 1, seconds: float = 0.02) -> None:
        """Wait for so many looks, each `seconds` after the one before."""
        for _ in range(times):
            self.now += seconds
            self.look.clear()
            await asyncio.wait_for(self.look.wait(), PATIENCE)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    metrics = Metrics()
    monkeypatch.setattr(idle, "_LEAST_SECONDS", 0.001)
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=lambda: metrics.now))
    return metrics


@pytest.fixture
def watch(metrics: Metrics, tmp_path: Path) -> IdleWatch:
    return IdleWatch(metrics.read, tmp_path / "served.json", {"base": 0.05, "other": 0.0, "alien": 0.05}, ["long"])


async def test_a_model_without_requests_is_idle_after_its_timeout(watch: IdleWatch, metrics: Metrics) -> None:
    idling = asyncio.create_task(watch.until_idle("base"))
    await metrics.looked(3)
    assert not idling.done()
    await metrics.looked()
    await asyncio.wait_for(idling, PATIENCE)


@pytest.mark.parametrize("counter", ["open", "pending", "long"])
async def test_a_model_with_an_open_request_is_not_idle(watch: IdleWatch, metrics: Metrics, counter: str) -> None:
    setattr(metrics, counter, 1.0)
    idling = asyncio.create_task(watch.until_idle("base"))
    await metrics.looked(20)
    assert not idling.done()
    setattr(metrics, counter, 0.0)
    await metrics.looked(4)
    await asyncio.wait_for(idling, PATIENCE)


async def test_a_model_with_new_requests_or_wishes_is_not_idle(
    watch: IdleWatch, metrics: Metrics, tmp_path: Path
) -> None:
    idling = asyncio.create_task(watch.until_idle("base"))
    for _ in range(10):
        await metrics.looked()
        metrics.requests += 1
    for _ in range(10):
        await metrics.looked()
        want(tmp_path / "served.json", "base")
    assert not idling.done()
    await metrics.looked(4)
    await asyncio.wait_for(idling, PATIENCE)


@pytest.mark.parametrize("model", ["other", "alien"])
async def test_a_model_without_timeout_or_counters_is_never_idle(
    watch: IdleWatch, metrics: Metrics, model: str
) -> None:
    idling = asyncio.create_task(watch.until_idle(model))
    if model == "alien":
        await metrics.looked(20)
    await asyncio.sleep(0)
    assert not idling.done()
    idling.cancel()


async def test_a_wish_after_the_given_one_ends_the_wait(watch: IdleWatch, tmp_path: Path) -> None:
    want(tmp_path / "served.json", "base")
    waiting = asyncio.create_task(watch.until_wanted("base", watch.wishes("base")))
    want(tmp_path / "served.json", "other")
    await asyncio.sleep(0)
    assert not waiting.done()
    want(tmp_path / "served.json", "base")
    await asyncio.wait_for(waiting, PATIENCE)
