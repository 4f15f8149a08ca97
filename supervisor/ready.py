"""`python -m supervisor.ready`: whether the Triton in this container serves every chosen model. For health checks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from supervisor.console import complain
from supervisor.control import Control, UnreachableError
from supervisor.environments import cache_folder
from supervisor.run_folder import read_serving
from supervisor.settings import Settings


def main() -> int:
    """Return exit status 0 where all are ready, else 1 after saying which is not."""
    settings = Settings()
    address = settings.triton_grpc_address
    models = read_serving(cache_folder() / "runs", settings.triton_grpc_port)
    if not models:
        complain(f"nothing is served at {address} yet")
        return 1
    try:
        waiting = asyncio.run(_waiting(address, models))
    except UnreachableError as error:
        complain(f"{address} does not answer: {error}")
        return 1
    if not waiting:
        return 0
    complain(f"not ready: {', '.join(waiting)}")
    return 1


async def _waiting(address: str, models: Sequence[str]) -> list[str]:
    """The models that are not ready. Raises `UnreachableError`."""
    async with Control(address) as control:
        await control.server_ready()
        return [model for model in models if not await control.model_ready(model)]


if __name__ == "__main__":
    sys.exit(main())
