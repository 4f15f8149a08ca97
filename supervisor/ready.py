"""`python -m supervisor.ready`: the container's health check. It fails unless every chosen model is ready or idle."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from supervisor import console
from supervisor.cache import cache_folder
from supervisor.control import Control, UnreachableError
from supervisor.repository import DOCUMENT, REPOSITORY
from supervisor.run_folder import find_run
from supervisor.served_document import read_document
from supervisor.settings import Settings


def main() -> int:
    """Return exit status 0 if all models are ready; otherwise log those that are not, and return 1."""
    settings = Settings()
    address = settings.triton_grpc_address
    run = find_run(cache_folder() / "runs", settings.triton_grpc_port)
    if run is None:
        console.error(f"nothing is served at {address} yet")
        return 1
    try:
        waiting = asyncio.run(_not_ready(address, run))
    except UnreachableError as error:
        console.error(f"{address} does not answer: {error}")
        return 1
    if not waiting:
        return 0
    console.error(f"not ready: {', '.join(waiting)}")
    return 1


async def _not_ready(address: str, run: Path) -> list[str]:
    """Return the models that are not ready. Raises `UnreachableError`.

    Triton calls a model with a dead stub ready; the served document does not.
    """
    document = read_document(run / DOCUMENT)
    states = {model.id: model.state for model in document.models} if document else {}
    async with Control(address) as control:
        await control.server_ready()
        return [
            folder.name
            for folder in sorted((run / REPOSITORY).iterdir())
            if (state := states.get(folder.name, "ready")) != "idle"
            and (state != "ready" or not await control.model_ready(folder.name))
        ]


if __name__ == "__main__":
    sys.exit(main())
