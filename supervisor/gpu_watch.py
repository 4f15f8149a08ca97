"""The memory of the GPUs, as gateways show it."""

from __future__ import annotations

import asyncio
import os
from typing import NoReturn

from supervisor import gpus
from supervisor.served_document import DocumentWriter

_SECONDS = 10.0


async def watch_gpus(document: DocumentWriter, device: str) -> NoReturn:
    """Keep the memory of the GPUs in the document up to date; on a CPU, or without an answer, there is none."""
    while device == "cuda":
        found = await asyncio.to_thread(gpus.memory, os.environ)
        document.set_gpus(tuple(found or ()))
        await asyncio.sleep(_SECONDS)
    await asyncio.Event().wait()
    raise AssertionError("nothing sets the event")
