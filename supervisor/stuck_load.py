"""The end of a load that hangs.

Triton 2.51 gives up on a stub that does not report within a second while it initializes, as happens on a machine that
is overloaded for a moment. It then waits for the end of that stub, which initializes and waits for requests: for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from supervisor import console
from supervisor.silence import idleness
from supervisor.stubs import stubs_of

_NEW_SECONDS = 1.0
"""Between two looks for the stubs of a load that has begun."""


async def load_unless_stuck(load: Callable[[], Awaitable[None]], server: int, model: str, *, tries: int = 3) -> None:
    """Load a model; kill its new stubs if all of them are idle for long meanwhile, and load it again.

    `server` is Triton's process id. Raises what `load` raises; after a kill only at the last of `tries`.
    """
    for left in reversed(range(tries)):
        with stubs_of(server, model) as stubs:
            old = {stub.pid for stub in stubs}
        watch = asyncio.create_task(_kill_when_idle(server, model, old))
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


async def _kill_when_idle(server: int, model: str, old: set[int]) -> None:
    while True:
        with stubs_of(server, model) as stubs:
            new = [stub for stub in stubs if stub.pid not in old]
            if new:
                await idleness([stub.pid for stub in new])
                for stub in new:
                    stub.kill()
                return
        await asyncio.sleep(_NEW_SECONDS)
