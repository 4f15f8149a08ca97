"""The contract, and the configurations of the models that declare it to Triton."""

import dataclasses

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tritone.catalogue import Catalogue
from tritone.contract import (
    INTERFACES,
    LONG_TRANSCRIPTION,
    SPEECH,
    TRANSCRIPTION,
    VOICE_CLONE,
    Interface,
    SpeechDescription,
    SpeechOptions,
    TranscriptionDescription,
    TranscriptionOptions,
    Voice,
)
from tritone.families import ROOT, Model

REPOSITORY = ROOT / "model_repository"
CATALOGUE = Catalogue.load({})
MODELS = [*CATALOGUE.models.values(), *CATALOGUE.companions]
CONFIGS = [(model, path) for model in MODELS for path in sorted((REPOSITORY / model.id).rglob("*.pbtxt"))]


@pytest.mark.parametrize(("model", "path"), CONFIGS, ids=[str(path.relative_to(REPOSITORY)) for _, path in CONFIGS])
def test_configuration_declares_the_tensors_of_the_contract(model: Model, path) -> None:
    config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    interface = INTERFACES[model.interface]

    def declared(tensors):
        return {t.name: (model_config_pb2.DataType.Name(t.data_type), tuple(t.dims)) for t in tensors}

    def contracted(tensors):
        return {t.name: ("TYPE_" + t.dtype.replace("BYTES", "STRING"), t.shape) for t in tensors}

    assert declared(config.input) == contracted(interface.inputs)
    assert {t.name for t in config.input if t.optional} == {t.name for t in interface.inputs if t.optional}
    assert declared(config.output) == contracted((*interface.outputs, *interface.final_outputs))
    assert config.model_transaction_policy.decoupled == interface.decoupled
    assert config.max_batch_size == model.max_batch_size
    assert config.parameters["EXECUTION_ENV_PATH"].string_value.endswith(f"/envs/{model.environment}")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_model_has_a_folder_in_the_repository(model: Model) -> None:
    assert (REPOSITORY / model.id / "config.pbtxt").is_file()
    assert (REPOSITORY / model.id / "1" / "model.py").is_file()


def test_folder_in_the_repository_is_a_model() -> None:
    assert {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")} == {model.id for model in MODELS}


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=list(INTERFACES))
def test_tensor_of_an_interface_has_a_name_of_its_own(interface: Interface) -> None:
    for tensors in (interface.inputs, (*interface.outputs, *interface.final_outputs)):
        names = [tensor.name for tensor in tensors]
        assert len(names) == len(set(names))


def test_voice_clone_is_speech_with_reference_audio() -> None:
    assert [tensor.name for tensor in VOICE_CLONE.inputs] == ["text", "ref_audio"]
    assert (VOICE_CLONE.outputs, VOICE_CLONE.final_outputs) == (SPEECH.outputs, SPEECH.final_outputs)


def test_long_transcription_has_the_outputs_of_transcription_and_the_window() -> None:
    own = {tensor.name for tensor in LONG_TRANSCRIPTION.outputs} - {tensor.name for tensor in TRANSCRIPTION.outputs}
    missing = {tensor.name for tensor in TRANSCRIPTION.outputs} - {tensor.name for tensor in LONG_TRANSCRIPTION.outputs}
    assert (own, missing) == ({"window_start", "window_seconds"}, {"description"})


def test_option_has_documentation_and_a_default_of_its_type() -> None:
    for interface in INTERFACES.values():
        types = interface.options.types()
        for option in dataclasses.fields(interface.options):
            assert option.metadata["doc"].endswith("."), option.name
            assert option.default is None or type(option.default) is types[option.name]


def test_options_of_speech_models_are_supported_by_some_model() -> None:
    unsupported = [name for name in SpeechOptions.types() if not CATALOGUE.supporting(name)]
    assert unsupported == ["describe"]


def test_options_of_transcription_models_are_supported_by_some_model() -> None:
    unsupported = [name for name in TranscriptionOptions.types() if not CATALOGUE.supporting(name)]
    assert unsupported == ["describe"]


@pytest.mark.parametrize("options", [("voice", "language", "speed"), ("language", "instruct"), ()])
def test_speech_description_survives_json(options: tuple[str, ...]) -> None:
    voices = (Voice("zf_xiaoni", "小妮", "zh"), Voice("any", "Any"))
    description = SpeechDescription(voices, ("zh", "en"), "zf_xiaoni", (0.5, 2.0), options)
    assert SpeechDescription.from_json(description.to_json()) == description
    assert SpeechDescription.from_json(description.to_json().encode()) == description


def test_transcription_description_survives_json() -> None:
    description = TranscriptionDescription(
        ("en", "de"), ("transcribe",), ("language", "prompt"), window_seconds=60, audio_token_rate=25
    )
    assert TranscriptionDescription.from_json(description.to_json()) == description


def test_transcription_description_of_an_older_server_has_windows_of_30_s() -> None:
    text = '{"languages": ["en"], "tasks": ["transcribe"], "options": []}'
    assert TranscriptionDescription.from_json(text) == TranscriptionDescription(("en",), ("transcribe",), ())
