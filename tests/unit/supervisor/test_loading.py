"""Models are loaded at the start and after the death of a stub, and the served document follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from supervisor import restarts
from supervisor.errors import StartError
from supervisor.idle import IdleWatch
from supervisor.loading import ModelLoader
from supervisor.plan import Plan
from supervisor.processes import ProcessDiedError
from supervisor.served_document import DocumentWriter, read_document
from supervisor.settings import Settings
from tests.unit.supervisor.control_stand_in import DESCRIPTION, SECRET, Triton
from tests.unit.supervisor.stub_stand_ins import THIS, Stubs
from tritone.catalogue import Catalogue
from tritone.served import Description, ModelState, ServedModel
from tritone.wanted import want

MODEL = "whisper-base"
PATIENCE = 300.0


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

    def lose_model(self, id_: str, *, every_call: bool) -> None:
        super().lose_model(id_, every_call=every_call)
        if id_ == MODEL:
            self.states.put_nowait("loading")


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
def stubs(tmp_path: Path, triton: Triton) -> Iterator[Stubs]:
    """The stubs of all models; one is started at each load."""
    stubs = Stubs(tmp_path)
    triton.on_load = stubs.start
    yield stubs
    stubs.end()


def served(path: Path) -> ServedModel:
    document = read_document(path)
    assert document
    (model,) = document.models
    return model


async def keep(loader: ModelLoader) -> None:
    await loader.keep(THIS)


async def begin_to_keep(loader: ModelLoader, triton: Triton) -> asyncio.Task[None]:
    """Load the models, and begin to watch their stubs; return the watching task."""
    await loader.load_all(THIS)
    assert await triton.called.get() == MODEL
    task = asyncio.create_task(keep(loader))
    while await triton.called.get() != MODEL:
        pass
    return task


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel the keeping of models once it has begun to watch the new stubs."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_every_model_and_companion_is_loaded_and_models_are_described(
    loader: ModelLoader, triton: Triton, path: Path
) -> None:
    await loader.load_all(THIS)
    assert triton.loaded == {MODEL, "tritone", "transcription-long"}
    assert [request.model_name for request in triton.requests] == [MODEL]
    assert (served(path).state, served(path).description) == ("ready", DESCRIPTION)


async def test_a_model_that_cannot_be_loaded_fails_the_start(loader: ModelLoader, triton: Triton, path: Path) -> None:
    triton.damaged = {MODEL}
    with pytest.raises(StartError, match="not started: weights are damaged"):
        await loader.load_all(THIS)
    assert served(path).state == "failed"


async def test_a_model_without_a_description_fails_the_start(loader: ModelLoader, triton: Triton, path: Path) -> None:
    triton.outputs = {}
    with pytest.raises(StartError, match="whisper-base does not describe itself"):
        await loader.load_all(THIS)
    assert served(path).state == "failed"


async def test_a_model_with_a_dead_stub_is_loading_and_then_ready_again(
    loader: ModelLoader, triton: Triton, document: RecordedWriter, stubs: Stubs, path: Path
) -> None:
    unloaded: list[str] = []
    triton.on_unload = unloaded.append
    keeping = await begin_to_keep(loader, triton)
    stubs.running[MODEL][0].kill()
    async with asyncio.timeout(PATIENCE):
        assert [await document.states.get() for _ in range(3)] == ["ready", "loading", "ready"]
    assert unloaded == [MODEL]
    assert (served(path).loads, served(path).lost_loads) == (2, 1)
    await stop(keeping)
    assert [region.exists() for region in stubs.regions[MODEL]] == [False, True]


async def test_calls_of_a_model_are_not_lost_for_certain_while_another_stub_of_it_lives(
    loader: ModelLoader, triton: Triton, document: RecordedWriter, stubs: Stubs, path: Path
) -> None:
    triton.on_load = partial(stubs.start, count=2)
    keeping = await begin_to_keep(loader, triton)
    triton.on_load = stubs.start
    stubs.running[MODEL][1].kill()
    async with asyncio.timeout(PATIENCE):
        assert [await document.states.get() for _ in range(3)] == ["ready", "loading", "ready"]
    assert (served(path).loads, served(path).lost_loads) == (2, 0)
    await stop(keeping)
    assert [region.exists() for region in stubs.regions[MODEL]] == [True, False, True]


async def test_a_model_that_cannot_be_loaded_again_is_an_error_after_three_loads(
    loader: ModelLoader,
    triton: Triton,
    path: Path,
    stubs: Stubs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(restarts, "PAUSES", (0.0,))
    keeping = await begin_to_keep(loader, triton)
    triton.damaged = {MODEL}
    stubs.running[MODEL][0].kill()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ProcessDiedError, match="whisper-base died, and could not be loaded again: weights are"):
            await keeping
    assert served(path).state == "failed"
    assert capsys.readouterr().err.count("whisper-base could not be loaded again: weights are damaged; next try") == 2


async def test_an_idle_model_is_unloaded_until_it_is_wanted(
    loader: ModelLoader,
    triton: Triton,
    document: RecordedWriter,
    stubs: Stubs,
    path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its unloading is not taken for a death."""

    async def no_requests() -> str:
        return f'tritone_requests_total{{model="{MODEL}"}} 7'

    triton.on_unload = lambda model: stubs.running[model][-1].kill()
    loader._idle = IdleWatch(no_requests, path, {MODEL: 0.01})
    keeping = await begin_to_keep(loader, triton)
    async with asyncio.timeout(PATIENCE):
        assert [await document.states.get() for _ in range(2)] == ["ready", "idle"]
        while MODEL in triton.loaded or stubs.running[MODEL][0].poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert served(path).description == DESCRIPTION
        loader._idle = IdleWatch(no_requests, path, {})
        want(path, MODEL)
        assert await document.states.get() == "ready"
    assert (served(path).loads, served(path).lost_loads) == (2, 0)
    assert "died" not in capsys.readouterr().err
    await stop(keeping)
    assert [region.exists() for region in stubs.regions[MODEL]] == [False, True]


async def test_models_are_loaded_again_side_by_side(
    loader: ModelLoader, triton: Triton, document: RecordedWriter, stubs: Stubs
) -> None:
    keeping = await begin_to_keep(loader, triton)
    both = asyncio.Barrier(2)

    async def start_with_the_other(model: str) -> None:
        await both.wait()
        await stubs.start(model)

    triton.on_load = start_with_the_other
    for model in (MODEL, "transcription-long"):
        stubs.running[model][0].kill()
    async with asyncio.timeout(PATIENCE):
        assert [await document.states.get() for _ in range(3)] == ["ready", "loading", "ready"]
    await stop(keeping)
