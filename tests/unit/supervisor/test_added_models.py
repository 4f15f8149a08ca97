"""Checkpoints that appear below MODEL_DIR/finetuned are served without a restart, and those that disappear are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from supervisor import restarts
from supervisor.loading import ModelLoader
from supervisor.plan import Plan
from supervisor.processes import ProcessDiedError
from supervisor.repository import REPOSITORY, lay_out
from supervisor.served_document import DocumentWriter, read_document
from supervisor.settings import Settings
from tests.unit.supervisor.checkpoints import write_checkpoint
from tests.unit.supervisor.control_stand_in import SECRET, Triton
from tests.unit.supervisor.stub_stand_ins import THIS, Stubs
from tritone.catalogue import Catalogue
from tritone.contract import SpeechDescription, Voice

PATIENCE = 300.0
DESCRIPTION = SpeechDescription(
    voices=(Voice("minsu", "Minsu"),),
    languages=("ko",),
    default_voice="minsu",
    speed_range=(1.0, 1.0),
    options=("voice",),
)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def built() -> list[str]:
    """The environments that were to be built."""
    return []


@pytest.fixture
def stubs(tmp_path: Path, triton: Triton) -> Iterator[Stubs]:
    """The stubs of all models; one is started at each load, and ends at the unload."""
    stubs = Stubs(tmp_path / "stubs")
    triton.on_load = stubs.start
    triton.on_unload = stubs.stop
    yield stubs
    stubs.end()


@pytest.fixture
def loader(
    settings: Callable[..., Settings], triton: Triton, tmp_path: Path, run_folder: Path, built: list[str]
) -> ModelLoader:
    catalogue = Catalogue.load({})
    chosen = settings(triton_grpc_port=int(triton.address.rpartition(":")[2]), model_dir=tmp_path / "models")
    plan = Plan(chosen, catalogue, "cpu", [])
    lay_out(run_folder, plan)
    triton.outputs = {"description": DESCRIPTION.to_json()}

    async def build(plan: Plan) -> None:
        built.extend(model.environment for model in plan.models)

    return ModelLoader(plan, SECRET, DocumentWriter(run_folder / "served.json", plan), build)


class Server:
    """The models that gateways see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def models(self) -> dict[str, str]:
        """Return the state of each model."""
        document = read_document(self._folder / "served.json")
        assert document
        return {model.id: model.state for model in document.models}

    async def serves(self, *models: str) -> None:
        """Wait until exactly these models are ready."""
        async with asyncio.timeout(PATIENCE):
            while self.models() != dict.fromkeys(models, "ready"):  # noqa: ASYNC110 - a file changes
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def server(loader: ModelLoader, run_folder: Path, stubs: Stubs) -> AsyncIterator[Server]:
    """A server without models that runs."""
    await loader.load_all(THIS)
    keeping = asyncio.create_task(loader.keep(THIS))
    yield Server(run_folder)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_new_checkpoint_is_served_and_a_removed_one_is_not(
    server: Server, triton: Triton, tmp_path: Path, run_folder: Path, built: list[str]
) -> None:
    assert server.models() == {}
    folder = write_checkpoint(tmp_path / "models", "minsu")
    await server.serves("minsu")
    config = (run_folder / REPOSITORY / "minsu" / "config.pbtxt").read_text()
    assert f'key: "checkpoint" value {{ string_value: "{folder}" }}' in config
    assert built == ["qwen"]
    folder.rename(folder.with_name(".minsu"))
    await server.serves()
    async with asyncio.timeout(PATIENCE):
        while "minsu" in triton.loaded or (run_folder / REPOSITORY / "minsu").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_replaced_checkpoint_is_loaded_again(
    server: Server, triton: Triton, stubs: Stubs, tmp_path: Path
) -> None:
    unloaded: asyncio.Queue[str] = asyncio.Queue()

    def unload(model: str) -> None:
        stubs.stop(model)
        unloaded.put_nowait(model)

    triton.on_unload = unload
    folder = write_checkpoint(tmp_path / "models", "minsu")
    await server.serves("minsu")
    (folder / "model.safetensors").write_bytes(b"better weights")
    async with asyncio.timeout(PATIENCE):
        assert await unloaded.get() == "minsu"
    await server.serves("minsu")


async def test_model_that_has_long_requests_when_its_checkpoint_is_removed_delays_no_other(
    server: Server, triton: Triton, stubs: Stubs, tmp_path: Path, run_folder: Path
) -> None:
    unloaded: asyncio.Queue[str] = asyncio.Queue()
    triton.on_unload = unloaded.put_nowait
    folder = write_checkpoint(tmp_path / "models", "minsu")
    await server.serves("minsu")
    folder.rename(folder.with_name(".minsu"))
    async with asyncio.timeout(PATIENCE):
        assert await unloaded.get() == "minsu"
    write_checkpoint(tmp_path / "models", "zoe")
    await server.serves("zoe")
    folder.with_name(".minsu").rename(folder)
    write_checkpoint(tmp_path / "models", "yuna")
    await server.serves("zoe", "yuna")
    assert [stub.poll() for stub in stubs.running["minsu"]] == [None]
    stubs.stop("minsu")
    await server.serves("minsu", "zoe", "yuna")
    assert len(stubs.running["minsu"]) == 2


async def test_checkpoint_that_cannot_be_loaded_is_reported_and_the_others_are_served(
    server: Server, triton: Triton, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    triton.damaged = {"broken"}
    broken = write_checkpoint(tmp_path / "models", "broken")
    write_checkpoint(tmp_path / "models", "unknown", "no such type")
    write_checkpoint(tmp_path / "models", "tts-1")
    write_checkpoint(tmp_path / "models", "zoe")
    await server.serves("zoe")
    errors = capsys.readouterr().err
    assert f"broken is not served from {broken}: weights are damaged" in errors
    assert "unknown is not served from " in errors
    assert "no known model is like it" in errors
    assert "'tts-1' is already in use" in errors
    triton.damaged = set()
    (broken / "model.safetensors").write_bytes(b"good weights")
    await server.serves("broken", "zoe")


async def test_model_that_cannot_be_loaded_again_replaces_the_server(
    loader: ModelLoader, triton: Triton, stubs: Stubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "PAUSES", (0.0,))
    write_checkpoint(tmp_path / "models", "minsu")
    await loader.load_all(THIS)
    triton.damaged = {"minsu"}
    stubs.stop("minsu")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ProcessDiedError, match="minsu died, and could not be loaded again: weights are damaged"):
            await loader.keep(THIS)


async def test_checkpoint_that_is_there_at_the_start_is_served_from_the_start(
    loader: ModelLoader, run_folder: Path, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "models", "minsu")
    await loader.load_all(THIS)
    assert Server(run_folder).models() == {"minsu": "ready"}
