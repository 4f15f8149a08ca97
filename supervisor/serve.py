"""A run: Triton, the models and the gateway are started in this order, and stopped in the reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2

from supervisor import console, http_frontend, stub_watch, triton
from supervisor.banner import banner
from supervisor.environments import cache_folder
from supervisor.errors import StartError
from supervisor.loading import ModelLoader, until
from supervisor.log import Log
from supervisor.plan import Plan
from supervisor.processes import IDLE_GRACE, Process
from supervisor.repository import DOCUMENT, lay_out
from supervisor.run_folder import record_port, run_folder, shared_memory_prefix
from supervisor.served_document import DocumentWriter
from supervisor.settings import reachable
from supervisor.steps import logged

_NOTICE = 0.2
"""Seconds between the state `stopping` and SIGTERM to Triton, in which gateways elsewhere choose another server."""


async def serve(plan: Plan) -> None:
    """Start Triton, load the models, start the gateway, and run until cancelled.

    A model is loaded again after its stub dies. Raises `StartError`, or `ProcessDiedError` if Triton or the gateway
    ends by itself, or a model cannot be loaded again. No process and no shared memory remains afterwards.
    """
    settings = plan.settings
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        async with _deadline(settings.start_timeout):
            folder = stack.enter_context(run_folder(cache_folder() / "runs"))
            document = DocumentWriter(folder / DOCUMENT, plan)
            secret = triton.new_secret()
            server = await stack.enter_async_context(_triton(plan, folder, secret))
            # After the gateway, which still sends the windows of open requests, and before Triton.
            stack.push_async_callback(_announce_stop, document)
            record_port(folder, settings.triton_grpc_port)
            loader = ModelLoader(plan, secret, document)
            await server.during(loader.load_all())
            stubs = stub_watch.stubs_of(server.pid)
            document.set_server("serving")
            processes = [server]
            if settings.gateway:
                gateway = await stack.enter_async_context(_gateway(plan))
                await server.during(gateway.during(_gateway_ready(plan)))
                processes.append(gateway)
        for process in processes:
            process.grace = settings.drain_timeout + IDLE_GRACE
        console.info(banner(plan, time.monotonic() - started, keyed=bool(plan.variables().get("API_KEYS"))))
        stack.callback(console.info, "stopping")
        await server.during(processes[-1].during(loader.revive(server, stubs)))


async def _announce_stop(document: DocumentWriter) -> None:
    document.set_server("stopping")
    await asyncio.sleep(_NOTICE)


def _triton(plan: Plan, folder: Path, secret: str) -> AbstractAsyncContextManager[Process]:
    libpython = triton.find_libpython()
    assert libpython, "preflight requires it"
    home = triton.lay_out(folder, libpython, plan.settings.installed_triton)
    log = Log("triton", folder / "triton.log", triton.is_alarming)
    repository = lay_out(folder, plan)
    if plan.settings.triton_http_address and http_frontend.is_vulnerable(plan.settings.triton_version):
        console.info(http_frontend.warning(plan.settings.triton_version))
    console.info(f"starting triton on the {plan.device}, log in {log.path}")
    return Process.running(
        "triton",
        triton.command(plan, home, repository, secret, shared_memory_prefix(folder)),
        home.environment(plan.variables()),
        grace=IDLE_GRACE,
        log=log,
    )


def _gateway(plan: Plan) -> AbstractAsyncContextManager[Process]:
    return Process.running("gateway", plan.gateway, plan.variables(), grace=IDLE_GRACE)


async def _gateway_ready(plan: Plan) -> None:
    address = f"http://{reachable(plan.settings.api_host)}:{plan.settings.api_port}"
    async with logged("starting the gateway"), httpx2.AsyncClient(base_url=address, trust_env=False) as client:
        await until(partial(_is_ready, client))


async def _is_ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).is_success
    except httpx2.TransportError:
        return False  # not listening yet


@asynccontextmanager
async def _deadline(seconds: int) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StartError(f"not started: not ready after START_TIMEOUT={seconds} seconds") from None
