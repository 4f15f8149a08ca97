"""The contract: what crosses the wire comes back as it was, and is what the models declare."""

import dataclasses
import math
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from tritone.catalogue import Catalogue
from tritone.contract import (
    INTERFACES,
    LONG_TRANSCRIPTION,
    SpeechDescription,
    SpeechOptions,
    TranscriptionOptions,
    Voice,
)
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded, from_text

ROOT = Path(__file__).parents[3]
CONFIGS = sorted(ROOT.glob("model_repository/*/config.pbtxt")) + sorted(ROOT.glob("model_repository/*/configs/*.pbtxt"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT / "model_repository")))
def test_a_model_configuration_declares_the_tensors_of_the_contract(path: Path) -> None:
    config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    folder = path.relative_to(ROOT / "model_repository").parts[0]
    model = next(model for model in Catalogue.load().models.values() if folder in model.served)
    long = folder != model.id
    interface = LONG_TRANSCRIPTION if long else INTERFACES.get(model.mode, INTERFACES[model.kind])

    def declared(tensors):
        return {t.name: (model_config_pb2.DataType.Name(t.data_type), tuple(t.dims)) for t in tensors}

    def contracted(tensors):
        return {t.name: ("TYPE_" + t.dtype.replace("BYTES", "STRING"), t.shape) for t in tensors}

    assert declared(config.input) == contracted(interface.inputs)
    assert declared(config.output) == contracted((*interface.outputs, *interface.final_outputs))
    assert config.model_transaction_policy.decoupled == (model.kind == "speech" or long)
    assert config.parameters["EXECUTION_ENV_PATH"].string_value.endswith(f"/envs/{model.environment}")


def test_every_model_of_the_catalogue_has_a_folder_for_both_devices() -> None:
    for id_ in Catalogue.load().models:
        folder = ROOT / "model_repository" / id_
        assert (folder / "config.pbtxt").is_file()
        assert (folder / "configs" / "cpu.pbtxt").is_file()
        assert (folder / "1" / "model.py").is_file()


@given(
    st.builds(
        TranscriptionOptions,
        language=st.text(),
        task=st.sampled_from(["transcribe", "translate"]),
        prompt=st.text(),
        hotwords=st.text(),
        temperature=st.floats(0, 1),
        word_timestamps=st.booleans(),
        logprobs=st.booleans(),
        condition_on_previous_text=st.booleans(),
    )
)
def test_options_survive_the_wire(options: TranscriptionOptions) -> None:
    assert TranscriptionOptions.from_parameters(options.to_parameters()) == options


def test_only_options_that_differ_from_the_default_travel() -> None:
    assert SpeechOptions(voice="af_heart").to_parameters() == {"voice": "af_heart"}


def test_numbers_and_booleans_may_come_as_text() -> None:
    options = TranscriptionOptions.from_parameters({"temperature": "0.5", "word_timestamps": "True"})
    assert (options.temperature, options.word_timestamps) == (0.5, True)
    assert SpeechOptions.from_parameters({"seed": "7", "top_p": 1}) == SpeechOptions(seed=7, top_p=1.0)


def test_triton_own_parameters_are_passed_over() -> None:
    assert SpeechOptions.from_parameters({"triton_enable_empty_final_response": True}) == SpeechOptions()


@given(
    st.builds(
        SpeechOptions,
        temperature=st.none() | st.floats(0, 2),
        top_k=st.none() | st.integers(0),
        max_new_tokens=st.none() | st.integers(2),
        seed=st.none() | st.integers(0),
        x_vector_only=st.booleans(),
    )
)
def test_options_without_a_default_survive_the_wire(options: SpeechOptions) -> None:
    assert SpeechOptions.from_parameters(options.to_parameters()) == options


@pytest.mark.parametrize(
    "parameters",
    [
        {"seed": 1.5},
        {"seed": True},
        {"seed": "one"},
        {"seed": math.inf},
        {"seed": -1},
        {"temperature": 3.0},
        {"top_k": -1},
        {"top_p": 0.0},
        {"repetition_penalty": 0.0},
        {"max_new_tokens": 1},
    ],
    ids=str,
)
def test_a_wrong_number_is_refused_by_name(parameters: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        SpeechOptions.from_parameters(parameters)
    assert [refused.value.field] == list(parameters)


def test_the_models_that_follow_an_option_are_in_the_catalogue() -> None:
    for option in dataclasses.fields(SpeechOptions):
        assert set(option.metadata["followed_by"]) <= set(Catalogue.load().models)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"temprature": 0.0}, "temprature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 1.5}, "temperature"),
        ({"word_timestamps": 1}, "word_timestamps"),
        ({"language": 5}, "language"),
        ({"task": "sing"}, "task"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        TranscriptionOptions.from_parameters(parameters)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("text", "is empty: say something"),
        Overloaded("two at a time"),
        Overloaded("two at a time; no more", 7),
        DeadlinePassed("its 2 s are over"),
    ],
    ids=str,
)
def test_an_error_keeps_its_kind_when_it_crosses_as_text(error: InvalidInput | Overloaded | DeadlinePassed) -> None:
    crossed = from_text(str(error))
    assert type(crossed) is type(error)
    assert str(crossed) == str(error)
    assert vars(crossed) == vars(error)


def test_a_full_model_says_when_to_try_again_in_words_and_as_a_number() -> None:
    assert str(Overloaded("16 are spoken", 3)) == "overloaded: 16 are spoken; try again in 3 s"


@pytest.mark.parametrize("text", ["Unexpected shape: 3", "the model failed on this request; its log says why", ""])
def test_a_text_that_is_not_ours_is_no_error_of_ours(text: str) -> None:
    assert from_text(text) is None


def test_a_description_survives_json() -> None:
    description = SpeechDescription((Voice("zf_xiaoni", "小妮", "zh"),), ("zh", "en"), "zf_xiaoni", (0.5, 2.0))
    assert SpeechDescription.from_json(description.to_json()) == description
    description = dataclasses.replace(description, follows=("language", "instruct"))
    assert SpeechDescription.from_json(description.to_json()) == description
