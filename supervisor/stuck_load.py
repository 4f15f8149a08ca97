"""The end of a load that hangs.

Triton 2.51 gives up on a stub that does not report within a second while it initializes, as happens on a machine that
is overloaded for a moment. It then waits for the end of that stub, which initializes and waits for requests: for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from supervisor import console, silence
from supervisor.silence import Progress
from supervisor.stubs import stubs_of
from tritone.initialized import is_initialized

_LOADED_LOOKS = 3
"""15 seconds: a server that waits for the stub at all goes on at once when `initialize` has ended."""
_IDLE_LOOKS = 12
"""A minute: longer than `initialize` waits for a compiler or a disk."""


async def load_unless_stuck(load: Callable[[], Awaitable[None]], server: int, model: str, *, tries: int = 3) -> None:
    """Load a model; kill its new stubs if all of them are idle for long meanwhile, and load it again.

    `server` is Triton's process id. Raises what `load` raises; after a kill only at the last of `tries`.
    """
    for left in reversed(range(tries)):
        with stubs_of(server, model) as stubs:
            old = {stub.pid for stub in stubs}
        watch = asyncio.create_task(_kill_when_stuck(server, model, old))
        try:
            await load()
            return
        except Exception:
            if not (left and watch.done()):
                raise
            console.error(f"loading {model} hung, its process was ended: loading it again")
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


class _NewStub:
    """A stub that loads, or has loaded, its instance of the model."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._progress = Progress(pid)
        self._loaded_looks: int | None = None

    def look(self) -> None:
        """Measure the progress since the last look."""
        self._progress.look()
        if self._loaded_looks is not None:
            self._loaded_looks += 1
        elif is_initialized(self._pid):
            self._loaded_looks = 0

    @property
    def is_stuck(self) -> bool:
        """True after `_LOADED_LOOKS` without progress since the end of `initialize`, or `_IDLE_LOOKS` at any time."""
        idle = self._progress.idle_looks
        return idle >= _IDLE_LOOKS or min(idle, self._loaded_looks or 0) >= _LOADED_LOOKS


async def _kill_when_stuck(server: int, model: str, old: set[int]) -> None:
    new: dict[int, _NewStub] = {}
    while True:
        await asyncio.sleep(silence.LOOK_SECONDS)
        for each in new.values():
            each.look()
        with stubs_of(server, model) as stubs:
            new = {stub.pid: new.get(stub.pid) or _NewStub(stub.pid) for stub in stubs if stub.pid not in old}
            if new and all(each.is_stuck for each in new.values()):
                for stub in stubs:
                    if stub.pid in new:
                        stub.kill()
                return
