"""Loading of the models into a running Triton: at the start, after the death of a stub, and when one is added."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from supervisor import command_secret, console, preparation
from supervisor.added_models import AddedModels, Build
from supervisor.control import Control, LoadError, UnreachableError
from supervisor.errors import StartError
from supervisor.finetuned import Checkpoint, changes, scan
from supervisor.idle import IdleWatch, metrics_reader
from supervisor.plan import Plan
from supervisor.processes import Process, ProcessDiedError
from supervisor.restarts import Backoff, before, together
from supervisor.run_folder import SHARED_MEMORY
from supervisor.served_document import DocumentWriter
from supervisor.silence import silence
from supervisor.steps import logged
from supervisor.stubs import Stub, stubs_of
from supervisor.stuck_load import load_unless_stuck
from tritone.catalogue import UnknownModelError
from tritone.checkpoints import UnusableCheckpointError
from tritone.families import Model

_POLL = 0.05
_UNLOAD_SECONDS = 600.0
"""The longest time that the requests of an unloaded model may take to end."""
_FAILED_LOADS = 3
"""Loads in a row that may fail before the server is replaced."""


class ModelLoader:
    """Loads the models of a plan, and records their states and descriptions in the served document."""

    def __init__(self, plan: Plan, secret: str, document: DocumentWriter, build: Build = preparation.build) -> None:
        self._models = {model.id: model for model in plan.loaded}
        self._added = AddedModels(plan, document, build)
        self._address = plan.settings.triton_grpc_address
        self._secret = secret
        self._document = document
        settings = plan.settings
        callers = [model.id for model in plan.loaded if model.interface == "long_transcription"]
        self._timeouts = {model.id: settings.idle_seconds(model.id) for model in plan.models}
        self._idle = IdleWatch(metrics_reader(settings.triton_metrics_address), document.path, self._timeouts, callers)

    async def load_all(self, server: Process) -> None:
        """Wait for the server, and load all models at once, and then the added ones. Raises `StartError`."""
        async with self._control() as control:
            await until(partial(_server_ready, control))
            if not command_secret.hide(server.pid, self._secret):
                console.info("the secret of Triton's control stays on its command line: let no other user log in here")
            try:
                async with asyncio.TaskGroup() as loads:
                    for model in self._models.values():
                        loads.create_task(self._load(control, server, model))
            except ExceptionGroup as failed:
                raise StartError("\n".join(f"not started: {error}" for error in failed.exceptions)) from None
            found = scan(self._added.model_dir)
            await asyncio.gather(*(self._add(control, server, *each) for each in found.items()))

    async def keep(self, server: Process) -> None:
        """Load each model again when one of its stubs dies or is silent, and kill the server if that is silent.

        Models are loaded side by side. Checkpoints that appear below MODEL_DIR/finetuned are loaded, and those that
        disappear are unloaded. Raises `ProcessDiedError` if a model cannot be loaded again.
        """
        async with self._control() as control:
            await together(
                kill_when_silent(server, control.server_live),
                *(self._keep(control, server, model) for model in self._models.values()),
                self._follow(control, server),
            )

    async def _follow(self, control: Control, server: Process) -> None:
        """Serve the added models, each in a task of its own, as their checkpoints appear, change and disappear."""
        changed: dict[str, asyncio.Event] = {}

        async def serve(id_: str) -> None:
            changed[id_] = asyncio.Event()
            await self._serve_added(control, server, id_, changed[id_])
            del changed[id_]

        async with asyncio.TaskGroup() as group:
            for id_ in self._added.models:
                group.create_task(serve(id_))
            async with aclosing(changes(self._added.model_dir, self._added.known)) as seen:
                async for change in seen:
                    for id_ in change.gone:
                        self._added.forget(id_)
                    self._added.known.update(change.new)
                    for id_ in {*change.gone, *change.new}:
                        if id_ in changed:
                            changed[id_].set()
                        else:
                            group.create_task(serve(id_))

    async def _serve_added(self, control: Control, server: Process, id_: str, changed: asyncio.Event) -> None:
        """Serve the checkpoint that has an id, and after each change the one that has it then, until there is none."""
        model = self._added.models.get(id_)
        while True:
            changed.clear()
            checkpoint = self._added.known.get(id_)
            if not model and not checkpoint:
                return
            if not model and checkpoint:
                model = await self._add(control, server, id_, checkpoint)
            if not model:
                await changed.wait()  # another attempt would fail in the same way
                continue
            keeping = asyncio.create_task(self._keep(control, server, model))
            try:
                await before(changed.wait(), keeping)
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            await self._remove(control, server, model)
            model = None

    async def _add(self, control: Control, server: Process, id_: str, checkpoint: Checkpoint) -> Model | None:
        """Load an added model. Returns None where it cannot be; the reason is logged."""
        try:
            model = await self._added.prepare(id_, checkpoint)
            self._timeouts[id_] = self._added.idle_seconds(id_)
            await self._load(control, server, model)
        except (LoadError, StartError, UnknownModelError, UnusableCheckpointError, OSError) as error:
            await _unless_dead(server)
            console.error(f"{id_} is not served from {checkpoint.folder}: {error}")
            with suppress(LoadError):
                await control.unload(id_)
            self._added.fail(id_)
            return None
        return model

    async def _remove(self, control: Control, server: Process, model: Model) -> None:
        """Unload an added model after the requests that it has."""
        with stubs_of(server.pid, model.id) as stubs:
            try:
                async with logged(f"unloading {model.id}, whose checkpoint is gone"):
                    await control.unload(model.id)
                    await _end_of(stubs, model.id)
            except LoadError as error:
                await _unless_dead(server)
                console.error(f"{model.id} could not be unloaded: {error}")
                return
            await _unless_dead(server)
            _release(stubs)
        self._added.remove(model)

    def _control(self) -> Control:
        return Control(self._address, self._secret)

    async def _keep(self, control: Control, server: Process, model: Model) -> NoReturn:
        backoff = Backoff(at_once=True)
        while True:
            with stubs_of(server.pid, model.id) as stubs:
                backoff.ready()
                reason = await self._until_dead_or_idle(control, model, stubs) if stubs else "soon after its load"
                if not reason:
                    await self._sleep(control, server, model, stubs)
                    continue
                control.forget(model)
                await _unless_dead(server)
                self._document.lose_model(model.id, every_call=len(stubs) <= 1)
                pause = backoff.fail(reason)
                when = f"in {pause:g} s" if pause else "now"
                console.error(f"the process of {model.id} died ({reason}), loading the model again {when}")
                await asyncio.sleep(pause)
                await self._load_again(control, server, model)
                _release(stubs)

    async def _until_dead_or_idle(self, control: Control, model: Model, stubs: Sequence[Stub]) -> str:
        """Wait until a stub is dead, and return the reason; or until the model is idle, and return an empty one."""
        dead = asyncio.create_task(_until_dead(control, model, stubs))
        idle = asyncio.create_task(self._idle.until_idle(model.id))
        try:
            await asyncio.wait((dead, idle), return_when=asyncio.FIRST_COMPLETED)
            return dead.result() if dead.done() else idle.result() or ""
        finally:
            dead.cancel()
            idle.cancel()
            await asyncio.gather(dead, idle, return_exceptions=True)

    async def _sleep(self, control: Control, server: Process, model: Model, stubs: Sequence[Stub]) -> None:
        """Unload an idle model, and load it when it is wanted again."""
        since = self._idle.wishes(model.id)  # later wishes come from clients that know it as idle
        self._document.set_model(model.id, "idle")
        console.info(f"{model.id} was not used for {self._idle.timeout_of(model.id):g} s, unloading it")
        try:
            await control.unload(model.id)
        except LoadError as error:
            await _unless_dead(server)
            console.error(f"{model.id} could not be unloaded: {error}")
            self._document.set_model(model.id, "ready")
            return
        await _end_of(stubs, model.id)
        await _unless_dead(server)
        _release(stubs)
        await self._idle.until_wanted(model.id, since)
        await self._load_again(control, server, model)

    async def _load_again(self, control: Control, server: Process, model: Model) -> None:
        """Replace all stubs of a model. Open calls of the dead one are lost: Triton does not even end their streams."""
        backoff = Backoff()
        while True:
            try:
                await control.unload(model.id)
                await self._load(control, server, model)
                return
            except LoadError as error:
                await _unless_dead(server)
                pause = backoff.fail(str(error))
                if len(backoff.failures) == _FAILED_LOADS:
                    raise ProcessDiedError(f"{model.id} died, and could not be loaded again: {error}") from None
                console.error(f"{model.id} could not be loaded again: {error}; next try in {pause:g} s")
                await asyncio.sleep(pause)

    async def _load(self, control: Control, server: Process, model: Model) -> None:
        try:
            async with logged(f"loading {model.id}"):
                await load_unless_stuck(partial(control.load, model.id), server.pid, model.id)
                await until(partial(control.model_ready, model.id))
                description = None if model.kind == "companion" else await control.describe(model)
        except LoadError:
            self._document.set_model(model.id, "failed")
            raise
        self._document.set_model(model.id, "ready", description)


async def _until_dead(control: Control, model: Model, stubs: Sequence[Stub]) -> str:
    """Wait until a stub is dead, and return the reason. All are killed if one is stopped or the model is silent."""
    deaths = [asyncio.create_task(stub.death()) for stub in stubs]
    silent = asyncio.create_task(
        silence(partial(_answers, control, model), [stub.pid for stub in stubs], may_be_busy=True)
    )
    try:
        (first, *_), _ = await asyncio.wait((*deaths, silent), return_when=asyncio.FIRST_COMPLETED)
        reason: str = first.result()
        if first is silent:
            reason = f"{reason}, killed"
            for stub in stubs:
                stub.kill()
            await asyncio.gather(*deaths)
        return reason
    finally:
        for task in (*deaths, silent):
            task.cancel()
        await asyncio.gather(*deaths, silent, return_exceptions=True)


async def _unless_dead(server: Process) -> None:
    """Wait for ever if the server is dead: its stubs died with it, and the caller's caller watches for that."""
    if server.has_ended:
        await asyncio.Event().wait()


async def _answers(control: Control, model: Model) -> bool:
    # `transcription-long` has no request without work; only its death is noticed, and a stop by a signal.
    return model.interface == "long_transcription" or await control.model_answers(model)


async def kill_when_silent(process: Process, answers: Callable[[], Awaitable[bool]]) -> None:
    """Kill a child that is stopped or does not answer any more; the caller watches for its death."""
    process.kill(f"{await silence(answers, [process.pid])}, killed")
    await asyncio.Event().wait()


async def _end_of(stubs: Sequence[Stub], model: str) -> None:
    """Wait until the stubs of an unloaded model have ended; kill them if they hang."""
    try:
        async with asyncio.timeout(_UNLOAD_SECONDS):
            await asyncio.gather(*(stub.death() for stub in stubs))
    except TimeoutError:
        console.error(f"the process of {model} did not end in {_UNLOAD_SECONDS:g} s, killing it")
        for stub in stubs:
            stub.kill()
        await asyncio.gather(*(stub.death() for stub in stubs))


def _release(stubs: Sequence[Stub]) -> None:
    """Remove the shared memory regions that dead stubs left."""
    for stub in stubs:
        if stub.lives:
            continue  # it finishes the requests that it has
        with suppress(OSError):
            (SHARED_MEMORY / Path(stub.region).name).unlink()


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
