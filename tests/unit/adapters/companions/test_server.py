from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.companions.server import TritonPythonModel
from tests.unit.adapters.stand_in import pb_utils
from tritone.forgotten_voices import ForgottenVoices
from tritone.served import ServedDocument, ServedModel
from tritone.settings import RUN_FOLDER
from tritone.wanted import last_wanted

DOCUMENT = ServedDocument("serving", (), version=3)


def args(parameters: dict[str, str]) -> dict[str, str]:
    config = {"parameters": {name: {"string_value": value} for name, value in parameters.items()}}
    return {
        "model_name": "tritone",
        "model_config": json.dumps(config),
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }


@pytest.fixture
def model(tmp_path: Path) -> Iterator[TritonPythonModel]:
    (tmp_path / "served.json").write_text(DOCUMENT.to_json())
    model = TritonPythonModel()
    model.initialize(args({"document": str(tmp_path / "served.json")}))
    yield model
    model.finalize()
    assert not pb_utils.Metric.alive


def send(model: TritonPythonModel, **parameters: object) -> pb_utils.ResponseSender:
    request = pb_utils.InferenceRequest({}, json.dumps(parameters))
    model.execute([request])
    return request.sender


def document_of(sender: pb_utils.ResponseSender) -> ServedDocument:
    [response] = sender.sent
    [tensor] = response.output_tensors()
    assert tensor.name() == "document"
    return ServedDocument.from_json(tensor.as_numpy()[0])


def test_request_gets_the_document(model: TritonPythonModel) -> None:
    sender = send(model)
    assert document_of(sender) == DOCUMENT
    assert sender.finals == 1


def test_model_that_is_wanted_is_recorded(model: TritonPythonModel, tmp_path: Path) -> None:
    path = tmp_path / "served.json"
    served = ServedModel("base", "transcription", "transcribe", "openai", "idle")
    path.write_text(replace(DOCUMENT, models=(served,), version=4).to_json())
    assert document_of(send(model, load="base")).version == 4
    assert last_wanted(path, "base") > 0
    error = send(model, load="../base").sent[0].error()
    assert error
    assert "load: '../base' is not served here; choose from: base" in error.message()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["base.wanted", "served.json"]


def test_voice_is_forgotten_in_every_process_of_the_server(
    model: TritonPythonModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    model.finalize()
    model.initialize(args({}))
    forgotten = ForgottenVoices(tmp_path)
    assert send(model, forget_voice="ab" * 32).finals == 1
    assert forgotten.new() == ["ab" * 32]
    error = send(model, forget_voice="../ab").sent[0].error()
    assert error
    assert error.message().startswith("forget_voice: not a key")
    assert forgotten.new() == []


def test_server_without_supervisor_says_that_it_cannot_forget(model: TritonPythonModel) -> None:
    error = send(model, forget_voice="ab" * 32).sent[0].error()
    assert error
    assert error.message().startswith("forget_voice: this server has no supervisor")


def test_waiting_request_gets_the_document_when_the_model_is_unloaded(model: TritonPythonModel) -> None:
    sender = send(model, version=3, wait_seconds=20)
    assert sender.sent == []
    model.finalize()
    assert document_of(sender) == DOCUMENT
    model.initialize(args({}))  # for the fixture to finalize


def test_too_long_wait_is_rejected(model: TritonPythonModel) -> None:
    sender = send(model, wait_seconds=31)
    error = sender.sent[0].error()
    assert error is not None
    assert error.message() == "wait_seconds: 31 is out of range; choose 0 to 30"
    assert sender.finals == 1


def test_document_without_the_parameter_is_empty() -> None:
    model = TritonPythonModel()
    model.initialize(args({}))
    assert document_of(send(model)) == ServedDocument("starting", ())
    model.finalize()
