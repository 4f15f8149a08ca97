"""The time and the work of a running in-flight engine, without what other processes do on the machine."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from adapters.qwen3_tts.inflight.engine import InflightEngine

Call = Callable[..., None]


def _nothing(*_: Any) -> None:
    pass


class EngineClock:
    """Seconds of an engine: those in which its stepping thread computes, and those in which no request is open.

    Where the thread computes whenever a request is open, and nothing else uses its core, it is an ordinary clock.
    """

    def __init__(self, engine: InflightEngine) -> None:
        """`engine`: idle, on a CPU. Its stepping thread does all of its computation."""
        thread = engine._stepping._thread
        assert thread.ident
        self._cpu_clock = time.pthread_getcpuclockid(thread.ident)
        self._idle = 0.0
        self._idle_since: float | None = time.monotonic()
        self._lock = threading.Lock()
        self._load = engine._scheduler.load
        _around(engine._scheduler, "enqueue", after=self._end_idle)
        _around(engine._scheduler, "wait_for_work", before=self._begin_idle)

    def __call__(self) -> float:
        """Return the seconds since some moment, from any thread."""
        with self._lock:
            idle = self._idle if self._idle_since is None else self._idle + time.monotonic() - self._idle_since
            return idle + time.clock_gettime(self._cpu_clock)

    def sleep_until(self, moment: float) -> None:
        """Return when the clock shows `moment`. It never runs faster than a wall clock."""
        while (left := moment - self()) > 0:
            time.sleep(max(left, 1e-4))

    def _end_idle(self, *_: Any) -> None:
        with self._lock:
            if self._idle_since is not None:
                self._idle, self._idle_since = self._idle + time.monotonic() - self._idle_since, None

    def _begin_idle(self) -> None:
        with self._lock:
            load = self._load()
            if self._idle_since is None and not load.active and not load.waiting:
                self._idle_since = time.monotonic()


class WorkMeter:
    """CPU seconds of the stepping thread for each kind of its work, from the steps of a running engine."""

    def __init__(self, engine: InflightEngine) -> None:
        """`engine`: idle."""
        self.clear()
        loop = engine._loop
        self._streams, self._apart = 0, 0.0
        _timed(loop._stepper, "prefill", self._prefilled)
        _timed(loop._codec, "decode", self._decoded)
        _around(loop._stepper, "step", before=self._set_streams)
        _timed(loop, "step", self._stepped)

    def clear(self) -> None:
        """Forget the work so far. The engine must be idle."""
        self.prefills: list[tuple[int, float]] = []
        """Tokens and seconds of each prefill."""
        self.frames: dict[int, list[float]] = defaultdict(list)
        """By the number of streams: a step without its prefill and its decoding of audio."""
        self.chunks: dict[int, list[float]] = defaultdict(list)
        """By the frames of a chunk, for one stream."""

    def _prefilled(self, seconds: float, tokens_by_slot: dict[int, int]) -> None:
        self.prefills.append((sum(tokens_by_slot.values()), seconds))
        self._apart += seconds

    def _decoded(self, seconds: float, slots: list[int], codes: Any) -> None:
        self.chunks[codes.shape[1]] += [seconds / len(slots)] * len(slots)
        self._apart += seconds

    def _set_streams(self, slots: list[int]) -> None:
        self._streams = len(slots)

    def _stepped(self, seconds: float) -> None:
        self.frames[self._streams].append(seconds - self._apart)
        self._streams, self._apart = 0, 0.0

    def speeds(self, prompt_tokens: int) -> dict[str, Any]:
        """Return the means, as the speeds of a server whose prompts have so many tokens."""
        tokens, seconds = np.array(self.prefills).T
        a_token, piece = np.polyfit(tokens, seconds, 1)
        return {
            "frame_seconds": {streams: fmean(each) for streams, each in sorted(self.frames.items()) if streams},
            "prefill_seconds": piece + a_token * prompt_tokens,
            "piece_seconds": piece,
            "prompt_tokens": prompt_tokens,
            "chunk_seconds": {frames: fmean(each) for frames, each in sorted(self.chunks.items())},
        }


def _around(target: Any, name: str, *, before: Call = _nothing, after: Call = _nothing) -> None:
    """Call `before` and `after` with the same arguments before and after a method of this object."""
    method = getattr(target, name)

    def call(*arguments: Any) -> Any:
        before(*arguments)
        result = method(*arguments)
        after(*arguments)
        return result

    setattr(target, name, call)


def _timed(target: Any, name: str, after: Call) -> None:
    """Call `after` with the CPU seconds that a method of this object took, and its arguments."""
    method = getattr(target, name)

    def call(*arguments: Any) -> Any:
        began = time.thread_time()
        result = method(*arguments)
        after(time.thread_time() - began, *arguments)
        return result

    setattr(target, name, call)
