"""Detection of models that nobody uses, and of the wish to use one again."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from tritone.wanted import last_wanted

_POLL_SECONDS: Final = 0.05
"""Between two looks for the wish to load a model."""
_LEAST_SECONDS, _MOST_SECONDS = 0.25, 5.0
"""Between two looks at the requests of a model: a quarter of its timeout, within these limits."""
_METRICS_TIMEOUT: Final = 5.0
_SAMPLE: Final = re.compile(r'^(\w+)\{(?:[^}]*,)?model="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)

ReadMetrics = Callable[[], Awaitable[str]]
"""Returns Triton's metrics as text; empty if they cannot be read."""


@dataclass(frozen=True)
class Use:
    """The use of a model at one moment."""

    requests: float
    """Requests since its load."""
    open: float
    """Requests that are queued or in progress."""
    wanted: int
    """The time of the last wish for it."""


class IdleWatch:
    """Watches the models of one server."""

    def __init__(
        self, read_metrics: ReadMetrics, document: Path, timeouts: Mapping[str, float], callers: Sequence[str] = ()
    ) -> None:
        """`document` is the path of the served document; `timeouts` has the models that may be idle, and after how
        many seconds. `callers` are models whose open requests use all of these.
        """
        self._read_metrics = read_metrics
        self._document = document
        self._timeouts = timeouts
        self._callers = callers

    def timeout_of(self, model: str) -> float:
        """Return the seconds after which a model is idle; 0: never."""
        return self._timeouts.get(model, 0.0)

    async def until_idle(self, model: str) -> None:
        """Wait until a model was not used for its timeout; for ever if it has none."""
        timeout = self.timeout_of(model)
        if not timeout:
            await asyncio.Event().wait()
        last: Use | None = None
        used = time.monotonic()
        while time.monotonic() - used < timeout:
            await asyncio.sleep(min(max(timeout / 4, _LEAST_SECONDS), _MOST_SECONDS))
            now = await self._use(model)
            # Without counters the model may be in use.
            if now is None or now.open or now != last:
                used = time.monotonic()
            last = now

    def wishes(self, model: str) -> int:
        """Return the time of the last wish for a model, for `until_wanted`."""
        return last_wanted(self._document, model)

    async def until_wanted(self, model: str, since: int) -> None:
        """Wait for a wish for a model after that of the time `since`."""
        while self.wishes(model) == since:  # noqa: ASYNC110 - another process touches the file
            await asyncio.sleep(_POLL_SECONDS)

    async def _use(self, model: str) -> Use | None:
        """Return the use of a model; None if it has no counters, as a model that is not ours."""
        samples: dict[tuple[str, str], float] = {}
        for name, of, value in _SAMPLE.findall(await self._read_metrics()):
            samples[name, of] = samples.get((name, of), 0.0) + float(value)
        if ("tritone_requests_total", model) not in samples:
            return None
        names = ("tritone_open_requests", "nv_inference_pending_request_count")
        is_open = sum(samples.get((name, of), 0.0) for name in names for of in (model, *self._callers))
        return Use(samples["tritone_requests_total", model], is_open, self.wishes(model))


def metrics_reader(address: str) -> ReadMetrics:
    """Return a reader of the metrics that Triton serves at `host:port`."""

    async def read() -> str:
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=_METRICS_TIMEOUT) as client:
                answer = await client.get(f"http://{address}/metrics")
            return answer.text if answer.is_success else ""
        except httpx2.TransportError:
            return ""

    return read
