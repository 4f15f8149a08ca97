"""Throughput of so many simultaneous streams, through the whole engine, codec included."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from adapters.qwen3_tts.inflight.engine import InflightEngine
from benchmarks.gpu.engine_client import accepted, wait
from benchmarks.gpu.playback import milliseconds
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step

STREAMS = (1, 64, 8, 128, 16, 32)
"""The most valuable first."""


def steps(rig: Rig) -> Iterator[Step]:
    """Measure all on one engine."""
    streams = rig.options.pick(STREAMS, (1, 4))
    with rig.engine(max(streams)) as engine:
        _together(rig, engine, 1, 25)
        for n in streams:
            yield Step(f"{n}", 5, partial(_measure, rig, engine, n))


def _measure(rig: Rig, engine: InflightEngine, n: int) -> dict[str, Any]:
    frames = rig.options.pick(125, 25)
    rounds = [_together(rig, engine, n, frames) for _ in range(rig.options.pick(3, 1))]
    return {key: round(median(each[key] for each in rounds), 5) for key in rounds[0]}


def _together(rig: Rig, engine: InflightEngine, n: int, frames: int) -> dict[str, float]:
    """Submit `n` requests at the same moment, and wait for the last."""
    clients = [rig.submit(engine, index, frames) for index in range(n)]
    wait(clients)
    played = accepted(clients)
    seconds = max(each.ended for each in played) - min(each.requested for each in played)
    return {
        "times_real_time": sum(each.seconds for each in played) / seconds,
        "rtf": median((each.ended - each.requested) / each.seconds for each in played),
        **milliseconds("ttfa", [each.to_first_audio for each in played], 50, 95),
        "silent": sum(each.silence > 0 for each in played),
    }
