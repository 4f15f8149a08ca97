"""End calls that would otherwise never end: the process of their model died, and the model was unloaded since.

Triton leaves the streams of a dead stub process open, even when the model is unloaded and loaded again. The served
document shows both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tritone.served import ServedDocument

UNLOAD_GRACE: Final = 5.0
"""Seconds that a call may stay silent after its model was unloaded. Another instance of the model may still be
serving it: that one pauses for less than this between two responses, and a call that waits for one can be repeated."""


@dataclass(eq=False)
class OpenCall:
    """A call of a model that has not ended."""

    model: str
    loads: int
    """The model's count of loads when the call began."""
    cancel: Callable[[], object]
    responses: int = 0
    """Responses received so far."""
    is_lost: bool = False
    """True after the watch has ended the call."""
    ending: asyncio.Task[None] | None = None


class ModelWatch:
    """The open calls to one server."""

    def __init__(self, grace: float = UNLOAD_GRACE) -> None:
        self._grace = grace
        self._calls: set[OpenCall] = set()

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def unanswered(self) -> int:
        """The number of calls without a response yet."""
        return sum(not call.responses for call in self._calls)

    def begin(self, model: str, document: ServedDocument | None, cancel: Callable[[], object]) -> OpenCall:
        """Watch a call of `model` that begins now; `cancel` must end it."""
        call = OpenCall(model, _loads(model, document), cancel)
        self._calls.add(call)
        return call

    def end(self, call: OpenCall) -> None:
        """Watch `call` no longer."""
        self._calls.discard(call)
        if call.ending:
            call.ending.cancel()

    def update(self, document: ServedDocument) -> None:
        """End each call that is lost, and begin the grace period of each that may be.

        A call is lost if every process that served it is dead. It may be lost if its model is not ready any more, or
        was loaded again. A model that is idle was unloaded on purpose, and still answers the calls that it has.
        """
        lost = {model.id: model.lost_loads for model in document.models}
        ready = {model.id: model.loads for model in document.models if model.state in ("ready", "idle")}
        for call in tuple(self._calls):
            if call.is_lost:
                continue
            if call.loads <= lost.get(call.model, 0):
                call.is_lost = True
                call.cancel()
            elif call.ending is None and ready.get(call.model, -1) != call.loads:
                call.ending = asyncio.create_task(self._end_when_silent(call))

    async def _end_when_silent(self, call: OpenCall) -> None:
        while True:
            before = call.responses
            await asyncio.sleep(self._grace)
            if call.responses == before:
                call.is_lost = True
                call.cancel()
                return


def _loads(model: str, document: ServedDocument | None) -> int:
    served = document.models if document else ()
    return next((each.loads for each in served if each.id == model), 0)
