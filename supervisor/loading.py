"""Loading of the models into a running Triton, at the start and after the death of a stub."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial

from supervisor import console, stub_watch
from supervisor.control import Control, LoadError, UnreachableError
from supervisor.errors import StartError
from supervisor.plan import Plan
from supervisor.processes import Process, ProcessDiedError
from supervisor.served_document import DocumentWriter
from supervisor.steps import logged
from tritone.families import Model

_POLL = 0.05


class ModelLoader:
    """Loads the models of a plan, and records their states and descriptions in the served document."""

    def __init__(self, plan: Plan, secret: str, document: DocumentWriter) -> None:
        self._models = {model.id: model for model in plan.loaded}
        self._address = plan.settings.triton_grpc_address
        self._secret = secret
        self._document = document

    async def load_all(self) -> None:
        """Wait for the server, and load all models at once. Raises `StartError`."""
        async with self._control() as control:
            await until(partial(_server_ready, control))
            try:
                async with asyncio.TaskGroup() as loads:
                    for model in self._models.values():
                        loads.create_task(self._load(control, model))
            except ExceptionGroup as failed:
                raise StartError("\n".join(f"not started: {error}" for error in failed.exceptions)) from None

    async def revive(self, server: Process, stubs: Mapping[int, str]) -> None:
        """Load a model again each time one of its stubs dies; `stubs` are those that run at the start.

        Its open requests are lost: Triton does not end their streams, so the gateway does when the model is unloaded.
        Raises `ProcessDiedError` if the model cannot be loaded again.
        """
        async with self._control() as control, aclosing(stub_watch.watch(server.pid, stubs)) as deaths:
            async for id_ in deaths:
                console.info(f"the process of {id_} died: loading the model again")
                self._document.set_model(id_, "loading")
                try:
                    await control.unload(id_)
                    await self._load(control, self._models[id_])
                except LoadError as error:
                    raise ProcessDiedError(f"{id_} died, and could not be loaded again: {error}") from None

    def _control(self) -> Control:
        return Control(self._address, self._secret)

    async def _load(self, control: Control, model: Model) -> None:
        try:
            async with logged(f"loading {model.id}"):
                await control.load(model.id)
                await until(partial(control.model_ready, model.id))
                description = None if model.kind == "companion" else await control.describe(model)
        except LoadError:
            self._document.set_model(model.id, "failed")
            raise
        self._document.set_model(model.id, "ready", description)


async def until(ready: Callable[[], Awaitable[bool]]) -> None:
    """Poll until `ready` returns True; the caller has the deadline."""
    while True:
        if await ready():
            return
        await asyncio.sleep(_POLL)


async def _server_ready(control: Control) -> bool:
    try:
        return await control.server_ready()
    except UnreachableError:
        return False  # not listening yet
