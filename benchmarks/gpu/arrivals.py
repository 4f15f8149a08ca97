"""Time to first audio with random arrivals, which do not wait for earlier requests: an open loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from adapters.qwen3_tts.inflight.engine import InflightEngine
from benchmarks.gpu.playback import PlaybackClient, accepted, ttfa, wait
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step

RATES = (10, 20, 1, 40, 5, 2)
"""Requests per second, the most valuable first."""
FRAMES = (50, 150)
"""Range of the frames of a request."""
_SLOTS, _QUEUE = 128, 16
_LEAST, _LONGEST = 60, 12.0
"""Requests per quantile, and the seconds to which that is limited."""


def steps(rig: Rig) -> Iterator[Step]:
    """Measure each rate on the same engine, after the requests of the rate before have ended."""
    with rig.engine(rig.options.pick(_SLOTS, 8), queue=_QUEUE) as engine:
        for rate in rig.options.pick(RATES, (2, 5)):
            yield Step(f"{rate}", 15, partial(_measure, rig, engine, rate))


def _measure(rig: Rig, engine: InflightEngine, rate: int) -> dict[str, Any]:
    random = np.random.default_rng(rate)
    seconds = rig.options.pick(min(max(6.0, _LEAST / rate), _LONGEST), 2.0)
    gaps = random.exponential(1 / rate, size=round(rate * seconds) or 1)
    low, high = rig.options.pick(FRAMES, (10, 20))
    frames = random.integers(low, high, size=len(gaps), endpoint=True)
    clients: list[PlaybackClient] = []
    started, late = time.monotonic(), 0.0
    for index, at in enumerate(np.cumsum(gaps)):
        time.sleep(max(0.0, started + at - time.monotonic()))
        late = max(late, time.monotonic() - started - at)
        clients.append(rig.submit(engine, index, int(frames[index])))
    wait(clients)
    played = accepted(clients)
    silences = [each.silence for each in played if each.silence]
    return {
        "requests": len(clients),
        "rejected": len(clients) - len(played),
        **ttfa([each.to_first_audio for each in played], 50, 95, 99),
        "underruns": len(silences),
        "longest_silence_ms": round(1e3 * max(silences, default=0.0), 2),
        "times_real_time": round(sum(each.seconds for each in played) / (time.monotonic() - started), 2),
        "submitted_late_ms": round(1e3 * late, 2),
    }
