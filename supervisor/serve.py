"""A run: Triton with its models, the gateway and the worker serve in this order, and are stopped in the reverse."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from supervisor import console
from supervisor.banner import banner
from supervisor.cache import cache_folder
from supervisor.parts import GatewayPart, TritonPart, WorkerPart, start_deadline
from supervisor.plan import Plan
from supervisor.processes import IDLE_GRACE
from supervisor.repository import DOCUMENT
from supervisor.restarts import before, kept
from supervisor.run_folder import run_folder
from supervisor.served_document import DocumentWriter

_NOTICE = 0.2
"""Seconds between the state `stopping` and SIGTERM to Triton, in which gateways elsewhere choose another server."""


async def serve(plan: Plan) -> None:
    """Start Triton, load the models, start the gateway and the worker of its jobs, and run until cancelled.

    A part that dies or is silent after the start is started again. Raises `StartError` or `ProcessDiedError` if the
    start fails, or if a part dies too often. No process and no shared memory remains afterwards.
    """
    settings = plan.settings
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(run_folder(cache_folder() / "runs"))
        document = DocumentWriter(folder / DOCUMENT, plan)
        async with start_deadline(settings.start_timeout):
            run = TritonPart(plan, folder, document).run
            triton = await stack.enter_async_context(kept("triton", run, settings.max_restarts))
            # After the gateway, which still sends the windows of open requests, and before Triton.
            stack.push_async_callback(_announce_stop, document)
            parts = [triton]
            if settings.gateway:
                run = GatewayPart(plan, triton).run
                gateway = await stack.enter_async_context(kept("gateway", run, settings.max_restarts))
                await before(gateway.serving(), triton.task)
                parts.append(gateway)
                if settings.jobs:
                    # Not among `parts`: whatever happens to the worker, the rest serves on.
                    run = WorkerPart("worker", plan.worker, plan).run
                    await stack.enter_async_context(kept("worker", run, sys.maxsize))
                if plan.takes_messages:
                    grace = settings.drain_timeout + IDLE_GRACE  # it ends the messages in work
                    run = WorkerPart("queue worker", plan.queue_worker, plan, grace=grace).run
                    await stack.enter_async_context(kept("queue worker", run, sys.maxsize))
            await triton.serving()
        console.info(banner(plan, time.monotonic() - started, keyed=bool(plan.variables().get("API_KEYS"))))
        stack.callback(console.info, "stopping")
        await before(asyncio.Event().wait(), *(part.task for part in parts))


async def _announce_stop(document: DocumentWriter) -> None:
    document.set_server("stopping")
    await asyncio.sleep(_NOTICE)
