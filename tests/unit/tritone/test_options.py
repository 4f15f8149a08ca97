"""Request parameters: their wire form and their checks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.contract import LongTranscriptionOptions, ServerOptions, SpeechOptions, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.languages import is_auto
from tritone.options import LARGEST_INT, Options, check_range, option


@given(
    st.builds(
        LongTranscriptionOptions,
        language=st.text().filter(lambda text: not is_auto(text)),
        task=st.sampled_from(["transcribe", "translate"]),
        prompt=st.text(),
        hotwords=st.text(),
        temperature=st.floats(0, 1),
        word_timestamps=st.booleans(),
        logprobs=st.booleans(),
        model=st.text(),
        condition_on_previous_text=st.booleans(),
    )
)
def test_options_survive_the_wire(options: LongTranscriptionOptions) -> None:
    assert LongTranscriptionOptions.from_parameters(options.to_parameters()) == options


@pytest.mark.parametrize("sent", ["", " ", "\n\t\u3000"])
def test_known_text_without_a_word_is_absent(sent: str) -> None:
    assert TranscriptionOptions.from_parameters({"known_text": sent}) == TranscriptionOptions()


@given(
    st.builds(
        SpeechOptions,
        temperature=st.none() | st.floats(0, 2),
        top_k=st.none() | st.integers(0, LARGEST_INT),
        max_new_tokens=st.none() | st.integers(2, LARGEST_INT),
        seed=st.none() | st.integers(0, LARGEST_INT),
        x_vector_only=st.booleans(),
    )
)
def test_options_that_may_be_unset_survive_the_wire(options: SpeechOptions) -> None:
    assert SpeechOptions.from_parameters(options.to_parameters()) == options


def test_options_with_their_default_are_not_sent() -> None:
    assert SpeechOptions(voice="af_heart", speed=1.0, seed=None).to_parameters() == {"voice": "af_heart"}


def test_numbers_and_booleans_may_come_as_text() -> None:
    options = TranscriptionOptions.from_parameters({"temperature": "0.5", "word_timestamps": "True"})
    assert (options.temperature, options.word_timestamps) == (0.5, True)
    assert SpeechOptions.from_parameters({"seed": "7", "top_p": 1}) == SpeechOptions(seed=7, top_p=1.0)


def test_seed_of_more_than_64_bits_is_out_of_range() -> None:
    with pytest.raises(InvalidInput, match=f"seed: {10**400} is out of range; choose 0 to {2**63 - 1}"):
        SpeechOptions(seed=10**400).check()


def test_parameters_of_triton_are_skipped() -> None:
    assert SpeechOptions.from_parameters({"triton_enable_empty_final_response": True}) == SpeechOptions()


@pytest.mark.parametrize(
    "parameters",
    [
        {"seed": 1.5},
        {"seed": True},
        {"seed": "one"},
        {"seed": "1.5"},
        {"seed": math.inf},
        {"seed": -1},
        {"seed": LARGEST_INT + 1},
        {"seed": "1" + "0" * 400},
        {"top_k": "1" + "0" * 400},
        {"temperature": 3.0},
        {"subtalker_temperature": -0.1},
        {"top_k": -1},
        {"subtalker_top_k": -1},
        {"top_p": 0.0},
        {"subtalker_top_p": 1.1},
        {"repetition_penalty": 0.0},
        {"max_new_tokens": 1},
    ],
    ids=str,
)
def test_invalid_number_is_rejected_with_the_name_of_its_parameter(parameters: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as raised:
        SpeechOptions.from_parameters(parameters)
    assert [raised.value.field] == list(parameters)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"temprature": 0.0}, "temprature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 1.5}, "temperature"),
        ({"word_timestamps": 1}, "word_timestamps"),
        ({"word_timestamps": "yes"}, "word_timestamps"),
        ({"language": 5}, "language"),
        ({"task": "sing"}, "task"),
    ],
)
def test_invalid_parameter_is_rejected_with_its_name(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        TranscriptionOptions.from_parameters(parameters)
    assert raised.value.field == field


@pytest.mark.parametrize("seconds", [-0.1, 30.1])
def test_wait_for_a_change_is_at_most_half_a_minute(seconds: float) -> None:
    with pytest.raises(InvalidInput, match=r"wait_seconds: .* choose 0 to 30"):
        ServerOptions.from_parameters({"wait_seconds": seconds})


def test_unknown_parameter_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="pitch: unknown parameter; choose from: version, wait_seconds"):
        ServerOptions.from_parameters({"pitch": 1})


@dataclass(frozen=True, kw_only=True)
class Example(Options):
    """Options for these tests."""

    name: str = option("", doc="A name.")
    low: int | None = option(None, doc="A number.", group="range")
    high: float | None = option(None, doc="Another one.", group="range")
    flag: bool = option(False, doc="A flag.", group="flags")
    choice: str = option("auto", doc="A choice.", absent=lambda text: text.lower() in ("", "auto"))


def test_type_of_an_option_is_its_annotation_without_none() -> None:
    assert Example.types() == {"name": str, "low": int, "high": float, "flag": bool, "choice": str}


def test_groups_list_their_options_in_order() -> None:
    assert Example.groups() == {"range": ("low", "high"), "flags": ("flag",)}


def test_options_without_checks_accept_all_values_of_their_type() -> None:
    assert Example.from_parameters({"low": -5, "high": 1e9}) == Example(low=-5, high=1e9)


@pytest.mark.parametrize("value", [0, 2, 1.5, None])
def test_value_within_a_range_is_accepted(value: float | None) -> None:
    check_range("example", value, 0, 2)


@pytest.mark.parametrize(
    ("value", "high", "problem"), [(-1, 2, "0 to 2"), (2.1, 2, "0 to 2"), (-1, math.inf, "0 or more")]
)
def test_value_outside_a_range_is_rejected_with_the_range(value: float, high: float, problem: str) -> None:
    with pytest.raises(InvalidInput, match=f"example: {value:g} is out of range; choose {problem}"):
        check_range("example", value, 0, high)


@pytest.mark.parametrize(("sent", "read"), [("", "auto"), ("AUTO", "auto"), ("mine", "mine")])
def test_an_absent_text_stands_for_the_default(sent: str, read: str) -> None:
    options = Example.from_parameters({"choice": sent})
    assert options.choice == read
    assert options.to_parameters() == ({} if read == "auto" else {"choice": read})
