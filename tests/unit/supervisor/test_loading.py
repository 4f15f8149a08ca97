"""Models are loaded at the start and after the death of a stub, and the served document follows."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor import stub_watch
from supervisor.errors import StartError
from supervisor.loading import ModelLoader
from supervisor.plan import Plan
from supervisor.processes import ProcessDiedError
from supervisor.served_document import DocumentWriter, read_document
from supervisor.settings import Settings
from tests.unit.supervisor.control_stand_in import DESCRIPTION, SECRET, Triton
from tritone.catalogue import Catalogue
from tritone.served import Description, ModelState, ServedModel

MODEL = "whisper-base"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "served.json"


class RecordedWriter(DocumentWriter):
    """Records each state of the model too."""

    def __init__(self, path: Path, plan: Plan) -> None:
        super().__init__(path, plan)
        self.states: asyncio.Queue[str] = asyncio.Queue()

    def set_model(self, id_: str, state: ModelState, description: Description | None = None) -> None:
        super().set_model(id_, state, description)
        if id_ == MODEL:
            self.states.put_nowait(state)


@pytest.fixture
def plan(settings: Callable[..., Settings], triton: Triton) -> Plan:
    catalogue = Catalogue.load({})
    chosen = settings(triton_grpc_port=int(triton.address.rpartition(":")[2]))
    return Plan(chosen, catalogue, "cpu", catalogue.choose(("none",), ("base",)))


@pytest.fixture
def document(plan: Plan, path: Path) -> RecordedWriter:
    return RecordedWriter(path, plan)


@pytest.fixture
def loader(plan: Plan, document: RecordedWriter) -> ModelLoader:
    return ModelLoader(plan, SECRET, document)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A child of this process, in place of the model's stub; its status is never collected meanwhile."""
    monkeypatch.setattr(stub_watch, "_POLL", 0.01)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        yield child
        child.kill()


def served(path: Path) -> ServedModel:
    document = read_document(path)
    assert document
    (model,) = document.models
    return model


async def revive(loader: ModelLoader, stub: subprocess.Popen[bytes]) -> None:
    server: Any = SimpleNamespace(pid=os.getpid())
    await loader.revive(server, {stub.pid: MODEL})


async def test_every_model_and_companion_is_loaded_and_models_are_described(
    loader: ModelLoader, triton: Triton, path: Path
) -> None:
    await loader.load_all()
    assert triton.loaded == {MODEL, "tritone", "transcription-long"}
    assert [request.model_name for request in triton.requests] == [MODEL]
    assert (served(path).state, served(path).description) == ("ready", DESCRIPTION)


async def test_a_model_that_cannot_be_loaded_fails_the_start(loader: ModelLoader, triton: Triton, path: Path) -> None:
    triton.damaged = {MODEL}
    with pytest.raises(StartError, match="not started: weights are damaged"):
        await loader.load_all()
    assert served(path).state == "failed"


async def test_a_model_without_a_description_fails_the_start(loader: ModelLoader, triton: Triton, path: Path) -> None:
    triton.outputs = {}
    with pytest.raises(StartError, match="whisper-base does not describe itself"):
        await loader.load_all()
    assert served(path).state == "failed"


async def test_a_model_with_a_dead_stub_is_loading_and_then_ready_again(
    loader: ModelLoader, triton: Triton, document: RecordedWriter, stub: subprocess.Popen[bytes]
) -> None:
    unloaded: list[str] = []
    triton.on_unload = unloaded.append
    await loader.load_all()
    reviving = asyncio.create_task(revive(loader, stub))
    stub.kill()
    async with asyncio.timeout(20):
        assert [await document.states.get() for _ in range(3)] == ["ready", "loading", "ready"]
    reviving.cancel()
    assert unloaded == [MODEL]
    assert MODEL in triton.loaded


async def test_a_model_that_cannot_be_loaded_again_ends_the_run(
    loader: ModelLoader, triton: Triton, path: Path, stub: subprocess.Popen[bytes]
) -> None:
    await loader.load_all()
    triton.damaged = {MODEL}
    stub.kill()
    async with asyncio.timeout(20):
        with pytest.raises(ProcessDiedError, match="whisper-base died, and could not be loaded again: weights are"):
            await revive(loader, stub)
    assert served(path).state == "failed"
