"""Admission to the models: whether a request can be in time is estimated from the pace of recent work."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from gateway.core.errors import ModelAtCapacity, ModelTooSlow, TooManyRequests

_PROBES: Final = 4
"""Requests that a model gets at once while its pace is unknown; others wait until these show it."""
_SEVERAL: Final = 2
"""Requests at once that show a model's pace; so many are always admitted."""
_HALF_LIFE: Final = 30.0
"""Seconds of work after which an observation counts half."""
_REMEMBERED: Final = 60.0
"""Seconds for which a model that was full is taken for one that others want, too."""
_CAUTION: Final = 0.5
"""The share of a request's time within which all work before it should be done: an estimate may be wrong."""


class Admission:
    """Keeps the work of each model, and rejects what would be too late."""

    def __init__(self, max_wait: float, work_timeout: float, share: float) -> None:
        """`max_wait`: seconds until the first result; `work_timeout`: until the last; `share`: of one caller."""
        self.max_wait = max_wait
        self.work_timeout = work_timeout
        self.share = share
        self._models: dict[str, ModelLoad] = {}

    async def admit(self, model: str, caller: str, seconds: float = 0.0) -> Work:
        """Return the place of a request at `model` that makes `seconds` of audio (0: unknown). `close` it.

        Raises `ModelTooSlow` if it would be too late, and `TooManyRequests` if the caller has too many there.
        """
        load = self.load_of(model)
        await load.known(self.max_wait)
        load.check(self, caller, seconds)
        return Work(load, caller, seconds)

    def load_of(self, model: str) -> ModelLoad:
        """Return the open requests of `model`, and their pace."""
        if model not in self._models:
            self._models[model] = ModelLoad(model)
        return self._models[model]


class ModelLoad:
    """The open requests of one model, and their pace."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.first = _Pace(least_results=_PROBES - 1)
        """In requests that wait for their first result."""
        self.audio = _Pace()
        """In seconds of audio."""
        self.waiting: Counter[str] = Counter()
        """By caller."""
        self.open: Counter[str] = Counter()
        """By caller; those that wait, and those with results."""
        self._full_at = -math.inf
        self._capacity = 0
        self._undecided = 0
        """Requests that wait for the pace."""
        self._changed = asyncio.Event()

    async def known(self, max_wait: float) -> None:
        """Wait until the pace is known or the model has few requests; the later in the queue, the shorter.

        Raises `ModelTooSlow` when the first results have taken so long that this one would wait for `max_wait`.
        """
        if self._is_known:
            return
        self._undecided += 1
        try:
            async with asyncio.timeout(max_wait * _PROBES / (self.first.outstanding + self._undecided)):
                while not self._is_known:
                    await self._changed.wait()
        except TimeoutError:
            raise self._busy(max_wait) from None
        finally:
            self._undecided -= 1

    @property
    def _is_known(self) -> bool:
        """Whether the pace is known, or the model has few requests."""
        return self.first.outstanding < _PROBES or self.first.seconds(1) is not None

    def check(self, limits: Admission, caller: str, seconds: float) -> None:
        """Raise an error if a request with `seconds` of audio cannot be in time, or is beyond the caller's share."""
        wait = self.first.seconds(1) or 0.0
        if self.first.outstanding >= _SEVERAL:
            if wait > limits.max_wait:
                raise self._busy(wait - limits.max_wait * _CAUTION)
            own = wait * (self.waiting[caller] + 1) / (self.first.outstanding + 1)
            if own > limits.max_wait * limits.share:
                raise TooManyRequests(f"{self.waiting[caller]} of your requests wait for {self.model!r} already", own)
        work = (self.audio.seconds(seconds) or 0.0) if seconds else 0.0
        if self.audio.outstanding and work > limits.work_timeout * _CAUTION:
            raise self._busy(work - limits.work_timeout * _CAUTION)
        recent = time.monotonic() - self._full_at < _REMEMBERED
        if recent and limits.share < 1 and self.open[caller] >= max(_PROBES, math.ceil(self._capacity * limits.share)):
            raise TooManyRequests(f"{self.open[caller]} of your requests are at {self.model!r} already", 1.0)

    def full(self) -> None:
        """Note that the model has just rejected one of the open requests."""
        self._full_at = time.monotonic()
        self._capacity = self.open.total() - 1

    def change(self) -> None:
        """Wake the requests that wait for the pace."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _busy(self, seconds: float) -> ModelTooSlow:
        """Return the error for a request that should come again in so many seconds."""
        retry = max(1, math.ceil(seconds))
        return ModelTooSlow(f"model {self.model!r} has too much to do; try again in {retry} s", retry_after=retry)


class Work:
    """One request's place at a model; a context manager, which closes it."""

    def __init__(self, load: ModelLoad, caller: str, seconds: float) -> None:
        self._load = load
        self._caller = caller
        self._seconds = seconds
        self._waits = True
        load.first.add(1)
        load.waiting[caller] += 1
        load.open[caller] += 1
        load.audio.add(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModelAtCapacity):
            self._load.full()
        self._end_wait(1)
        if error is None:  # it made less audio than expected
            self._load.audio.done(self._seconds)
            self._seconds = 0.0
        self._load.audio.remove(self._seconds)
        drop_one(self._load.open, self._caller)
        self._load.change()

    def progress(self, seconds: float = 0.0) -> None:
        """Note a result, with so many seconds of audio."""
        if self._waits:
            self._load.first.done(1)
        self._end_wait(0)
        done = min(seconds, self._seconds)
        self._load.audio.done(done)
        self._seconds -= done

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave this work out while its client, and not the model, is waited for."""
        self._load.audio.remove(self._seconds)
        try:
            yield
        finally:
            self._load.audio.add(self._seconds)

    def _end_wait(self, left: float) -> None:
        if self._waits:
            self._waits = False
            self._load.first.remove(left)
            drop_one(self._load.waiting, self._caller)
            self._load.change()


def drop_one(held: Counter[str], caller: str) -> None:
    """Count one less of a caller's; a caller without any is forgotten."""
    held[caller] -= 1
    if not held[caller]:
        del held[caller]


class _Pace:
    """Work that is to be done, in any unit, and the units that were done in a second of the recent time with work.

    Only the time with several requests counts: one alone does not show what a model does at once.
    """

    def __init__(self, least_results: int = 1) -> None:
        """The pace is unknown until so many results were counted."""
        self.outstanding = 0.0
        self._requests = 0
        self._results_to_come = least_results
        self._busy = self._done = 0.0
        self._at = time.monotonic()

    def add(self, units: float) -> None:
        """Add the work of a request."""
        self._advance()
        self.outstanding += units
        self._requests += 1

    def remove(self, units: float) -> None:
        """Take out what is left of the work of a request."""
        self._advance()
        self.outstanding = max(0.0, self.outstanding - units)
        self._requests -= 1

    def done(self, units: float) -> None:
        """Note that so much of a request's work was done."""
        self._advance()
        self.outstanding = max(0.0, self.outstanding - units)
        if self._requests >= _SEVERAL:
            self._done += units
            self._results_to_come -= 1

    def seconds(self, units: float) -> float | None:
        """Return the seconds until the outstanding work and `units` more are done; None if the pace is unknown."""
        self._advance()
        if self._results_to_come > 0 or not self._done:
            return None
        return (self.outstanding + units) * self._busy / self._done

    def _advance(self) -> None:
        now = time.monotonic()
        if self._requests >= _SEVERAL:
            kept = 0.5 ** ((now - self._at) / _HALF_LIFE)
            self._busy = self._busy * kept + now - self._at
            self._done *= kept
        self._at = now
