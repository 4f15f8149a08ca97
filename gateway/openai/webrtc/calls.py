"""The calls of this gateway: their beginning, their ends, and what they hold."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.errors import NotFound
from gateway.openai.realtime.protocol import new_id
from gateway.openai.realtime.session_config import RealtimeConfig
from gateway.request_context import EVERYONE
from gateway.telemetry import CALLS

if TYPE_CHECKING:
    from gateway.openai.webrtc.call import Call

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Running:
    task: asyncio.Task[None]
    owner: str


class Calls:
    """The open calls. `close` it when the gateway stops."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    async def begin(
        self,
        services: Services,
        offer: str,
        config: RealtimeConfig,
        telemetry: WorkTelemetry,
        leave: Callable[[], None],
        *,
        beta_events: bool,
    ) -> tuple[str, str]:
        """Return the id of a new call, and the answer to its checked offer; `leave` is called at its end.

        Raises as `open_session`, and `InvalidInput` for an offer that cannot be answered.
        """
        try:
            module: Any = await asyncio.to_thread(import_module, "gateway.openai.webrtc.call")
            call: Call = module.Call(services, telemetry)
            answer = await call.answer(offer, config, beta_events=beta_events)
        except BaseException:
            leave()
            raise
        id_ = new_id("rtc")
        task = asyncio.create_task(self._run(id_, call, telemetry, leave))
        self._running[id_] = _Running(task, telemetry.owner)
        return id_, answer

    async def hang_up(self, id_: str, owner: str) -> None:
        """End a call of this client, or one that was begun with a client secret. Raises `NotFound`."""
        running = self._running.get(id_)
        if running is None or running.owner not in (owner, EVERYONE):
            raise NotFound(f"there is no call {id_[:64]!r} here")
        await _end(running.task)

    async def close(self) -> None:
        """End all calls."""
        for running in list(self._running.values()):
            await _end(running.task)

    async def _run(self, id_: str, call: Call, telemetry: WorkTelemetry, leave: Callable[[], None]) -> None:
        began, end = time.monotonic(), "failed"
        try:
            end = await call.run()
        except asyncio.CancelledError:
            end = "ended"
        except Exception:
            logger.exception("%s failed", id_)
        finally:
            del self._running[id_]
            leave()
            CALLS.labels(end).inc()
            details = {
                "call": id_,
                "end": end,
                "ms": round((time.monotonic() - began) * 1e3, 1),
                "model": telemetry.model,
                "audio_seconds": round(telemetry.audio_seconds, 3),
            }
            logger.info("call", extra={"details": details})


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_calls(app: FastAPI) -> AsyncIterator[None]:
    """Give the gateway its calls, and end them when it stops."""
    app.state.calls = Calls()
    try:
        yield
    finally:
        await app.state.calls.close()
