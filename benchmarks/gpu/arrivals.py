"""Time to first audio with random arrivals, which do not wait for earlier requests: an open loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import ChunkSchedule
from benchmarks.gpu.engine_client import PlaybackClient, accepted, wait
from benchmarks.gpu.playback import of_load, open_loop, poisson
from benchmarks.gpu.rig import CHUNK_SCHEDULE, Rig
from benchmarks.gpu.steps import Step

RATES = (20, 10, 40, 1, 5)
"""Requests per second, the most valuable first."""
FRAMES = (50, 150)
"""Range of the frames of a request."""
SHORT_START = ChunkSchedule((1, *CHUNK_SCHEDULE.sizes))
"""Sends the first frame at once: it saves a frame before the first audio, and costs one more chunk."""
SLOTS, QUEUE = 128, 16
_LEAST, _LONGEST = 60, 20.0
"""Requests per quantile, and the seconds to which that is limited."""


def steps(rig: Rig) -> Iterator[Step]:
    """Measure each rate on the same engine, after the requests of the rate before have ended."""
    with rig.engine(rig.options.pick(SLOTS, 8), queue=QUEUE) as engine:
        for rate in rig.options.pick(RATES, (2, 5)):
            yield Step(f"{rate}", 25 if rate == 1 else 12, partial(load, rig, engine, rate))
    rate = rig.options.pick(RATES, (5,))[0]
    yield Step(f"{rate}, first chunk of one frame", 40, partial(_short_start, rig, rate))


def _short_start(rig: Rig, rate: int) -> dict[str, Any]:
    with rig.engine(rig.options.pick(SLOTS, 8), queue=QUEUE, chunk_schedule=SHORT_START) as engine:
        return load(rig, engine, rate)


def load(rig: Rig, engine: InflightEngine, rate: int) -> dict[str, Any]:
    """Send requests at random moments, so many per second on average, and wait for the last."""
    starts = poisson(rate, rig.options.pick(min(max(6.0, _LEAST / rate), _LONGEST), 2.0))
    length = frames(rig, len(starts))

    def submit(index: int, planned: float) -> PlaybackClient:
        return rig.submit(engine, index, length(index), requested=planned)

    clients, late = open_loop(starts, submit)
    wait(clients)
    played = accepted(clients)
    return {"requests": len(clients), "rejected": len(clients) - len(played), **of_load(played, late)}


def frames(rig: Rig, count: int) -> Callable[[int], int]:
    """Return the length of each of so many requests: index -> frames."""
    low, high = rig.options.pick(FRAMES, (10, 20))
    drawn = np.random.default_rng(count).integers(low, high, size=count, endpoint=True)
    return lambda index: int(drawn[index])
