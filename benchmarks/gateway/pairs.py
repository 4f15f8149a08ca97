"""Times of several ways to do the same, one after the other in each round, and what each adds to the first of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.report import quantiles

Call = Callable[[], float]
"""Does the work once; returns its seconds."""
Times = dict[str, list[float]]

WARM_UP = 3


def time_in_turns(rounds: int, ways: Mapping[str, Call], *, warm_up: int = WARM_UP) -> Times:
    """Return the seconds of each way in each round, in a random order; the `warm_up` rounds are not kept."""
    times: Times = {way: [] for way in ways}
    order, chance = list(ways), random.Random(0)
    for turn in range(-warm_up, rounds):
        chance.shuffle(order)
        for way in order:
            seconds = ways[way]()
            if turn >= 0:
                times[way].append(seconds)
    return times


def compared(times: Times, base: str) -> dict[str, Any]:
    """Return the quantiles of each way, and those of its differences to `base` in the same round (`adds`), in ms."""
    figures: dict[str, Any] = {}
    for way, seconds in times.items():
        figures[way] = quantiles(seconds)
        if way != base:
            added = quantiles(np.subtract(seconds, times[base]).tolist())
            figures[way]["adds"] = {name: added[name] for name in ("p50_ms", "p99_ms")}
    return figures


def table(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of several cases as a table: a line for each way, in ms."""
    lines = [f"{'':32} {'way':14} {'p50':>9} {'p99':>9} {'adds p50':>9} {'adds p99':>9} {'CPU':>7}"]
    for case, ways in cases.items():
        for way, figures in ways.items():
            if not isinstance(figures, dict):
                continue
            adds = figures.get("adds", {})
            numbers = [
                figures["p50_ms"],
                figures["p99_ms"],
                adds.get("p50_ms"),
                adds.get("p99_ms"),
                figures.get("cpu_ms"),
            ]
            shown = [f"{number:9.2f}" if number is not None else " " * 9 for number in numbers]
            lines.append(f"{case:32} {way:14} {' '.join(shown)}")
    return "\n".join(lines)
