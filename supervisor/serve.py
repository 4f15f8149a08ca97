"""From nothing to serving, and back: the order in which things are made, started and stopped."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2

from adapters.qwen3_tts.checkpoint import UnusableCheckpointError
from supervisor import http_frontend, stubs, triton, weights
from supervisor.announcement import announcement
from supervisor.console import say
from supervisor.control import Control, LoadError, UnreachableError
from supervisor.environments import cache_folder
from supervisor.log import Log
from supervisor.plan import Plan
from supervisor.processes import Process, ProcessDiedError
from supervisor.repository import lay_out
from supervisor.run_folder import run_folder, shared_memory_prefix, write_serving
from supervisor.settings import reachable

_IDLE_GRACE = 5.0
"""Seconds that a process has to end while nothing is in flight."""
_POLL = 0.05
_REMIND = 10.0


class StartError(Exception):
    """A start that failed; the message is for the terminal."""


async def prepare(plan: Plan) -> Plan:
    """Fetch the weights and build the environments that are not there yet; the plan that can be served then.

    Where the weights of models that are there only by default cannot be had, those are the embedded defaults. Raises
    `StartError`.
    """
    try:
        await _weights(plan)
    except StartError:
        if not plan.fitted:
            raise
        modest = plan.with_embedded_defaults()
        lost = [model.id for model in plan.models if model not in modest.models]
        if not lost:
            raise
        say(f"the weights of {', '.join(lost)} cannot be had: the embedded defaults serve instead")
        plan = modest
        await _weights(plan)
    await _extras(plan)
    await _step(plan, "environments", "supervisor.environments", "--build", *plan.environments)
    return plan


async def serve(plan: Plan) -> None:
    """Start Triton, load the models, start the gateway, and go on until cancelled.

    A model whose process dies is loaded again. Raises `StartError`, or `ProcessDiedError` where Triton or the gateway
    ends by itself, or a model cannot be loaded again. However it is left, nothing stays.
    """
    settings = plan.settings
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        async with _deadline(settings.start_timeout):
            folder = stack.enter_context(run_folder(cache_folder() / "runs"))
            secret = triton.new_secret()
            server = await stack.enter_async_context(_triton(plan, folder, secret))
            write_serving(folder, settings.triton_grpc_port, [name for model in plan.models for name in model.served])
            await server.during(_load(plan, secret))
            loaded = stubs.living(server.pid)
            processes = [server]
            if settings.gateway:
                gateway = await stack.enter_async_context(_gateway(plan))
                await server.during(gateway.during(_gateway_ready(plan)))
                processes.append(gateway)
        for process in processes:
            process.grace = settings.drain_timeout + _IDLE_GRACE
        say(announcement(plan, time.monotonic() - started, keyed=bool(plan.variables().get("API_KEYS"))))
        stack.callback(say, "stopping")
        await server.during(processes[-1].during(_revive(plan, secret, server, loaded)))


async def _weights(plan: Plan) -> None:
    try:
        wanted = weights.wanted(plan.models, plan.variables())
        missing = weights.missing(plan.settings.model_dir, wanted)
    except (weights.FetchError, UnusableCheckpointError) as error:
        raise StartError(f"not started: {error}") from None
    if missing:
        optional = ["--optional"] * plan.fitted
        await _step(plan, "weights", "supervisor.weights", *optional, *wanted)


async def _extras(plan: Plan) -> None:
    """Fetch what only some requests need; where it cannot be had, those are refused and the rest is served."""
    extras = weights.extras(plan.models)
    if weights.missing(plan.settings.model_dir, extras):
        try:
            await _step(plan, "weights", "supervisor.weights", "--optional", *extras)
        except StartError:
            say(f"{', '.join(extras)} cannot be had: served without it")


async def _step(plan: Plan, name: str, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    variables = plan.variables()
    async with Process.running(name, command, variables, grace=_IDLE_GRACE, last_signal=signal.SIGTERM) as step:
        if await step.wait():
            raise StartError(f"not started: the {name} could not be made ready")


def _triton(plan: Plan, folder: Path, secret: str) -> AbstractAsyncContextManager[Process]:
    libpython = triton.find_libpython()
    assert libpython, "preflight asks for it"
    home = triton.lay_out(folder, libpython, plan.settings.installed_triton)
    log = Log("triton", folder / "triton.log", triton.alarming)
    repository = lay_out(folder, plan)
    if plan.settings.triton_http_address and http_frontend.is_vulnerable(plan.settings.triton_version):
        say(http_frontend.warning(plan.settings.triton_version))
    say(f"starting triton on the {plan.device}, log in {log.path}")
    return Process.running(
        "triton",
        triton.command(plan, home, repository, secret, shared_memory_prefix(folder)),
        home.environment(plan.variables()),
        grace=_IDLE_GRACE,
        log=log,
    )


async def _load(plan: Plan, secret: str) -> None:
    async with _control(plan, secret) as control:
        await _until(partial(_server_ready, control))
        try:
            async with asyncio.TaskGroup() as loads:
                for name in (name for model in plan.models for name in model.served):
                    loads.create_task(_load_one(control, name))
        except ExceptionGroup as failed:
            raise StartError("\n".join(f"not started: {error}" for error in failed.exceptions)) from None


async def _load_one(control: Control, model: str) -> None:
    async with _telling(f"loading {model}"):
        await control.load(model)
        await _until(partial(control.model_ready, model))


async def _server_ready(control: Control) -> bool:
    try:
        return await control.server_ready()
    except UnreachableError:
        return False  # not listening yet


async def _revive(plan: Plan, secret: str, server: Process, loaded: Mapping[int, str]) -> None:
    """Load every model again of whose processes in `loaded` one dies.

    What that was speaking or hearing is lost. Triton does not end it; the gateway does, which sees the model go.
    """
    async with (
        _control(plan, secret) as control,
        aclosing(stubs.deaths(server.pid, loaded)) as deaths,
    ):
        async for model in deaths:
            say(f"the process of {model} died: loading it again")
            try:
                await control.unload(model)
                await _load_one(control, model)
            except LoadError as error:
                raise ProcessDiedError(f"{model} died, and could not be loaded again: {error}") from None


def _control(plan: Plan, secret: str) -> Control:
    return Control(plan.settings.triton_grpc_address, secret)


def _gateway(plan: Plan) -> AbstractAsyncContextManager[Process]:
    return Process.running("gateway", plan.gateway, plan.variables(), grace=_IDLE_GRACE)


async def _gateway_ready(plan: Plan) -> None:
    address = f"http://{reachable(plan.settings.api_host)}:{plan.settings.api_port}"
    async with _telling("starting the gateway"), httpx2.AsyncClient(base_url=address, trust_env=False) as client:
        await _until(partial(_answers_ready, client))


async def _answers_ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).is_success
    except httpx2.TransportError:
        return False  # not listening yet


async def _until(ready: Callable[[], Awaitable[bool]]) -> None:
    """Poll until `ready` returns True; the caller has the deadline."""
    while True:
        if await ready():
            return
        await asyncio.sleep(_POLL)


@asynccontextmanager
async def _telling(what: str) -> AsyncIterator[None]:
    """Say that something begins, that it still goes on, and how many seconds it took."""

    async def remind() -> None:
        while True:
            await asyncio.sleep(_REMIND)
            say(f"{what} ({time.monotonic() - started:.0f} s so far)")

    started = time.monotonic()
    say(what)
    reminder = asyncio.create_task(remind())
    try:
        yield
    finally:
        reminder.cancel()
    say(f"{what}: done in {time.monotonic() - started:.1f} s")


@asynccontextmanager
async def _deadline(seconds: int) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StartError(f"not started: not ready after START_TIMEOUT={seconds} seconds") from None
