"""The parts of a run: Triton with its models, the gateway, the worker. Each can be started again without the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import httpx2

from supervisor import console, http_frontend, triton
from supervisor.errors import StartError
from supervisor.gpu_watch import watch_gpus
from supervisor.interpreter import find_libpython
from supervisor.loading import ModelLoader, kill_when_silent, until
from supervisor.log import Log
from supervisor.plan import Plan
from supervisor.private_files import public_files
from supervisor.processes import IDLE_GRACE, Process, ProcessDiedError
from supervisor.repository import lay_out
from supervisor.restarts import Part, together
from supervisor.run_folder import SHARED_MEMORY, record_port, release_shared_memory, shared_memory_prefix
from supervisor.served_document import DocumentWriter
from supervisor.settings import reachable
from supervisor.steps import logged
from supervisor.stubs import has_work
from tritone.settings import RUN_FOLDER


class TritonPart:
    """Triton and the models that it serves."""

    def __init__(self, plan: Plan, folder: Path, document: DocumentWriter) -> None:
        libpython = find_libpython()
        assert libpython, "preflight requires it"
        secret = triton.new_secret()
        home = triton.lay_out(folder, libpython, plan.settings.installed_triton)
        repository = lay_out(folder, plan)
        self._command = triton.command(plan, home, repository, secret, shared_memory_prefix(folder))
        self._variables = {**home.environment(plan.variables()), RUN_FOLDER: str(folder)}
        self._plan = plan
        self._folder = folder
        self._document = document
        self._loader = ModelLoader(plan, secret, document)
        self._served = False

    async def run(self, ready: Callable[[], None]) -> NoReturn:
        """Start Triton, load the models, and call `ready`; then load a model again after the death of its stub.

        Raises `StartError`, or `ProcessDiedError` if Triton ends or a model cannot be loaded again.
        """
        settings = self._plan.settings
        log = Log("triton", self._folder / "triton.log", triton.is_alarming)
        if settings.triton_http_address and http_frontend.is_vulnerable(settings.triton_version):
            console.info(http_frontend.warning(settings.triton_version))
        console.info(f"starting triton on the {self._plan.device}, log in {log.path}")
        try:
            async with Process.running(
                "triton",
                self._command,
                self._variables,
                grace=IDLE_GRACE,
                log=log,
                # A stream whose stub died never ends, and Triton would wait for it.
                is_idle=lambda pid: not has_work(pid),
            ) as server:
                record_port(self._folder, settings.triton_grpc_port)
                async with start_deadline(settings.start_timeout):
                    await server.during(self._loader.load_all(server))
                _check_privacy(self._folder)
                server.grace = settings.drain_timeout + IDLE_GRACE
                self._document.set_server("serving")
                self._served = True
                ready()
                await server.during(together(self._loader.keep(server), watch_gpus(self._document, self._plan.device)))
        except (StartError, ProcessDiedError):
            if self._served:
                self._document.lose_server()
            release_shared_memory(self._folder)
            raise
        raise AssertionError("Triton ended without an error")


def _check_privacy(folder: Path) -> None:
    """Close the regions that other users may read, and say so: another process may have opened one before."""
    if regions := public_files(SHARED_MEMORY, shared_memory_prefix(folder)):
        for region in regions:
            region.chmod(0o600)
        console.info("shared memory was readable while the models loaded: the kernel takes no seccomp filter")


class GatewayPart:
    """The gateway. It first starts beside Triton, and opens its port when Triton serves."""

    def __init__(self, plan: Plan, triton: Part) -> None:
        self._plan = plan
        self._triton = triton
        self._address = f"http://{reachable(plan.settings.api_host)}:{plan.settings.api_port}"
        self._path = "/ready"
        """The path that a start waits for; at later starts Triton may be down, so only the process is awaited."""

    async def run(self, ready: Callable[[], None]) -> NoReturn:
        """Start the gateway, and call `ready`. Raises `StartError`, or `ProcessDiedError` when it ends."""
        settings = self._plan.settings
        hold = not self._triton.has_served
        command = [*self._plan.gateway, *["--hold"] * hold]
        async with (
            httpx2.AsyncClient(base_url=self._address, trust_env=False, timeout=None) as client,
            Process.running("gateway", command, self._plan.variables(), grace=IDLE_GRACE, hold=hold) as gateway,
        ):
            await gateway.during(self._triton.serving())
            gateway.release()
            async with start_deadline(settings.start_timeout), logged("starting the gateway"):
                await gateway.during(until(partial(_succeeds, client, self._path)))
            gateway.grace = settings.drain_timeout + IDLE_GRACE
            self._path = "/health"
            ready()
            await gateway.during(kill_when_silent(gateway, partial(_answers, client)))
        raise AssertionError("the gateway ended without an error")


class WorkerPart:
    """A worker that runs jobs. Requests are served without it, and jobs wait for it."""

    def __init__(self, name: str, command: Sequence[str], plan: Plan, *, grace: float = IDLE_GRACE) -> None:
        """`grace`: seconds that it may take to end."""
        self._name = name
        self._command = command
        self._plan = plan
        self._grace = grace

    async def run(self, ready: Callable[[], None]) -> NoReturn:
        """Start the worker, and call `ready`. Raises `ProcessDiedError` when it ends."""
        variables = self._plan.variables()
        async with Process.running(self._name, self._command, variables, grace=self._grace) as worker:
            ready()
            await worker.during(asyncio.Event().wait())
        raise AssertionError(f"the {self._name} ended without an error")


async def _succeeds(client: httpx2.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path, timeout=5)).is_success
    except httpx2.TransportError:
        return False  # not listening yet


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        await client.get("/health")
    except httpx2.TransportError:
        return False
    return True


@asynccontextmanager
async def start_deadline(seconds: int) -> AsyncIterator[None]:
    """Raise `StartError` at the end of START_TIMEOUT."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StartError(f"not started: not ready after START_TIMEOUT={seconds} seconds") from None
