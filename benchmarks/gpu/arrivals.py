"""How soon speech sounds where requests come as they please, whatever became of those before: an open loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from adapters.qwen3_tts.inflight.engine import InflightEngine
from benchmarks.gpu.listener import Listener, heard, ttfa, wait
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step

RATES = (10, 20, 1, 40, 5, 2)
"""Requests a second, in the order of their value."""
FRAMES = (50, 150)
"""Of an utterance: any number between."""
_SLOTS, _QUEUE = 128, 16
_LEAST, _LONGEST = 60, 12.0
"""Requests that a quantile is taken of, unless that takes more seconds."""


def steps(rig: Rig) -> Iterator[Step]:
    """All by one engine, each rate when the one before has been heard to the end."""
    with rig.engine(rig.options.pick(_SLOTS, 8), queue=_QUEUE) as engine:
        for rate in rig.options.pick(RATES, (2, 5)):
            yield Step(f"{rate}", 15, partial(_measure, rig, engine, rate))


def _measure(rig: Rig, engine: InflightEngine, rate: int) -> dict[str, Any]:
    chance = np.random.default_rng(rate)
    seconds = rig.options.pick(min(max(6.0, _LEAST / rate), _LONGEST), 2.0)
    gaps = chance.exponential(1 / rate, size=round(rate * seconds) or 1)
    low, high = rig.options.pick(FRAMES, (10, 20))
    frames = chance.integers(low, high, size=len(gaps), endpoint=True)
    listeners: list[Listener] = []
    started, late = time.monotonic(), 0.0
    for index, at in enumerate(np.cumsum(gaps)):
        time.sleep(max(0.0, started + at - time.monotonic()))
        late = max(late, time.monotonic() - started - at)
        listeners.append(rig.speak(engine, index, int(frames[index])))
    wait(listeners)
    spoken = heard(listeners)
    silent = [each.silence for each in spoken if each.silence]
    return {
        "requests": len(listeners),
        "refused": len(listeners) - len(spoken),
        **ttfa([each.to_first_audio for each in spoken], 50, 95, 99),
        "underruns": len(silent),
        "longest_silence_ms": round(1e3 * max(silent, default=0.0), 2),
        "times_real_time": round(sum(each.seconds for each in spoken) / (time.monotonic() - started), 2),
        "asked_late_ms": round(1e3 * late, 2),
    }
