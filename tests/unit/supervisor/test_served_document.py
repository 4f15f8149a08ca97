"""The served document, as the `tritone` model reads it from its file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.plan import Plan
from supervisor.served_document import DocumentWriter, read_document
from supervisor.settings import Settings
from tritone.catalogue import Catalogue
from tritone.descriptions import SpeechDescription, TranscriptionDescription
from tritone.served import ServedDocument, ServedModel

SPEECH = SpeechDescription(voices=(), languages=("en",), default_voice="", speed_range=(1.0, 1.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "served.json"


@pytest.fixture
def document(settings: Callable[..., Settings], path: Path) -> DocumentWriter:
    catalogue = Catalogue.load({})
    return DocumentWriter(path, Plan(settings(), catalogue, "cpu", catalogue.choose((), ())))


def read(path: Path) -> ServedDocument:
    found = read_document(path)
    assert found
    return found


def model(path: Path, id_: str) -> ServedModel:
    return next(model for model in read(path).models if model.id == id_)


def test_a_new_document_has_every_chosen_model_loading(document: DocumentWriter, path: Path) -> None:
    found = read(path)
    assert found.state == "starting"
    assert [(model.id, model.state, model.created) for model in found.models] == [
        ("kokoro-82m", "loading", 0),
        ("whisper-base", "loading", 0),
    ]
    aliases = model(path, "kokoro-82m").aliases
    assert aliases == Catalogue.load({}).ranks("kokoro-82m")
    assert (aliases["tts-1"], aliases["kokoro"]) == (2, 0)
    assert model(path, "kokoro-82m").voice_aliases["alloy"] == "af_kore"


def test_a_loaded_model_is_ready_with_its_description_and_the_time(document: DocumentWriter, path: Path) -> None:
    before = int(time.time())
    document.set_model("kokoro-82m", "ready", SPEECH)
    described = TranscriptionDescription(languages=("en",), tasks=("transcribe",), options=())
    document.set_model("whisper-base", "ready", described)
    found = model(path, "kokoro-82m")
    assert (found.state, found.description, found.loads) == ("ready", SPEECH, 1)
    assert before <= found.created <= time.time()
    assert model(path, "whisper-base").description == described


def test_a_model_that_is_loaded_again_keeps_its_description_and_its_first_time(
    document: DocumentWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document.set_model("kokoro-82m", "ready", SPEECH)
    created = model(path, "kokoro-82m").created
    document.set_model("kokoro-82m", "loading")
    assert (model(path, "kokoro-82m").state, model(path, "kokoro-82m").description) == ("loading", SPEECH)
    monkeypatch.setattr(time, "time", lambda: created + 1000.0)
    document.set_model("kokoro-82m", "ready", SPEECH)
    assert (model(path, "kokoro-82m").created, model(path, "kokoro-82m").loads) == (created, 2)


def test_calls_of_a_model_whose_only_process_died_are_lost(document: DocumentWriter, path: Path) -> None:
    document.set_model("kokoro-82m", "ready", SPEECH)
    document.lose_model("kokoro-82m", every_call=False)
    assert (model(path, "kokoro-82m").state, model(path, "kokoro-82m").lost_loads) == ("loading", 0)
    document.set_model("kokoro-82m", "ready", SPEECH)
    document.lose_model("kokoro-82m", every_call=True)
    assert (model(path, "kokoro-82m").state, model(path, "kokoro-82m").lost_loads) == ("loading", 2)
    document.set_model("kokoro-82m", "ready", SPEECH)
    assert (model(path, "kokoro-82m").loads, model(path, "kokoro-82m").lost_loads) == (3, 2)


def test_calls_of_every_model_are_lost_with_the_server(document: DocumentWriter, path: Path) -> None:
    document.set_model("kokoro-82m", "ready", SPEECH)
    document.set_server("serving")
    document.lose_server()
    found = read(path)
    assert found.state == "starting"
    assert {model.id: (model.state, model.lost_loads) for model in found.models} == {
        "kokoro-82m": ("loading", 1),
        "whisper-base": ("loading", 0),
    }


def test_every_change_is_a_new_version(document: DocumentWriter, path: Path) -> None:
    versions = [read(path).version]
    document.set_server("serving")
    versions.append(read(path).version)
    document.set_model("kokoro-82m", "failed")
    versions.append(read(path).version)
    document.set_server("stopping")
    assert read(path).state == "stopping"
    versions.append(read(path).version)
    assert versions == list(range(versions[0], versions[0] + 4))


def test_a_later_run_has_later_versions(
    settings: Callable[..., Settings], document: DocumentWriter, path: Path
) -> None:
    first = read(path).version
    catalogue = Catalogue.load({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: first + 10.0)
        DocumentWriter(path, Plan(settings(), catalogue, "cpu", catalogue.choose((), ())))
    assert read(path).version > first


def test_a_companion_is_not_in_the_document(document: DocumentWriter, path: Path) -> None:
    version = read(path).version
    document.set_model("transcription-long", "ready")
    assert read(path).version == version


def test_only_the_finished_document_is_in_its_folder(document: DocumentWriter, path: Path) -> None:
    document.set_server("serving")
    assert [each.name for each in path.parent.iterdir()] == ["served.json"]


def test_a_missing_document_is_none(tmp_path: Path) -> None:
    assert read_document(tmp_path / "served.json") is None


async def test_a_change_on_a_full_disk_is_written_when_there_is_room(
    document: DocumentWriter, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("supervisor.served_document._RETRY_SECONDS", 0.01)
    path.with_name(".served.json").symlink_to("/dev/full")
    document.set_server("serving")
    assert "No space left on device" in capsys.readouterr().err
    assert read(path).state == "starting"
    path.with_name(".served.json").unlink()
    async with asyncio.timeout(300):
        while read(path).state != "serving":  # noqa: ASYNC110 - a file gives no event
            await asyncio.sleep(0.01)
