"""The questions of `docs/capacity.md`, answered by the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.capacity.pool import Policy, Scaling, simulate
from benchmarks.capacity.speeds import Speeds
from benchmarks.capacity.traffic import Request, day, steady

Row = dict[str, Any]
SEED = 7


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 1)


def gpus_for(speeds: Speeds, rates: Sequence[float], limit: float, seconds: float) -> list[Row]:
    """Return for each rate a second the fewest servers whose 95th percentile of the first audio is at most `limit`.

    `limit` is in seconds, and `seconds` is how long the load lasts. Raises `ValueError` if a request that has a server
    of its own takes longer than `limit`: no number of servers is enough then.
    """
    alone = simulate([Request(0.0, 75)], speeds, 1).first_audio(1.0)
    if alone > limit:
        raise ValueError(f"a request alone has its first audio after {_ms(alone)} ms, and the limit is {_ms(limit)} ms")
    rows: list[Row] = []
    servers = 1
    for rate in rates:
        while (outcome := simulate(steady(rate, seconds, SEED), speeds, servers)).first_audio(0.95) > limit:
            servers += 1
        rows.append(
            {
                "requests_per_second": rate,
                "gpus": servers,
                "p50_ms": _ms(outcome.first_audio(0.5)),
                "p95_ms": _ms(outcome.first_audio(0.95)),
                "p99_ms": _ms(outcome.first_audio(0.99)),
            }
        )
    return rows


def policies(speeds: Speeds, servers: int, loads: Sequence[float], seconds: float) -> list[Row]:
    """Return the 95th and 99th percentile of the first audio of both policies at shares of the pool's capacity."""
    mean = float(np.mean([request.frames for request in steady(100.0, 600.0, SEED)]))
    rows: list[Row] = []
    for load in loads:
        rate = load * servers / ((mean + 1) / speeds.capacity + speeds.prefill_seconds)
        row: Row = {"load": load, "requests_per_second": round(rate, 2)}
        chosen: tuple[Policy, ...] = ("least silent", "least loaded", "round robin")
        for policy in chosen:
            outcome = simulate(steady(rate, seconds, SEED), speeds, servers, policy=policy)
            row[policy] = {"p95_ms": _ms(outcome.first_audio(0.95)), "p99_ms": _ms(outcome.first_audio(0.99))}
        rows.append(row)
    return rows


def lags(speeds: Speeds, peak: float, fixed: int, starts: Sequence[float], seconds: float) -> list[Row]:
    """Return what a day costs with a fixed pool, and with an autoscaler whose servers need `starts` seconds each."""
    rows: list[Row] = []
    for start in (None, *starts):
        scaling = None
        if start is not None:
            scaling = Scaling(1, 2 * fixed, open_requests=0.6 * speeds.slots, start_seconds=start)
        outcome = simulate(day(peak, SEED, seconds), speeds, 1 if scaling else fixed, scaling=scaling)
        rows.append(
            {
                "start_seconds": start,
                "gpu_hours": round(outcome.server_seconds / 3600, 1),
                "p95_ms": _ms(outcome.first_audio(0.95)),
                "later_than_1_s": round(outcome.later_than(1.0), 5),
            }
        )
    return rows


def to_zero(speeds: Speeds, an_hour: Sequence[float], start: float, seconds: float) -> list[Row]:
    """Return for rates an hour the share of a GPU that scaling to zero saves, and the requests that wait for it."""
    rows: list[Row] = []
    for rate in an_hour:
        scaling = Scaling(0, 1, open_requests=0.6 * speeds.slots, start_seconds=start)
        outcome = simulate(steady(rate / 3600, seconds, SEED), speeds, 0, scaling=scaling)
        rows.append(
            {
                "requests_per_hour": rate,
                "saved": round(1 - outcome.server_seconds / seconds, 3),
                "cold": round(outcome.cold / len(outcome.requests), 3),
                "mean_wait_s": round(float(np.mean([request.waited for request in outcome.requests])), 1),
            }
        )
    return rows
