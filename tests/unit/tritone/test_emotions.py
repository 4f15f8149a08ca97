"""The option `emotions`, as text and as the lists and objects of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tritone.contract import SpeechOptions
from tritone.emotions import EMOTIONS, to_json, weights_of
from tritone.errors import InvalidInput


def test_the_emotions_have_zonos_order() -> None:
    assert EMOTIONS == ("happiness", "sadness", "disgust", "fear", "surprise", "anger", "other", "neutral")


@pytest.mark.parametrize(
    "value",
    [
        {"surprise": 0.25, "anger": 1},
        {" Surprise": 0.25, "ANGER": 1.0, "sadness": 0},
        [0, 0, 0, 0, 0.25, 1, 0, 0],
        '{"surprise": 0.25, "anger": 1.0}',
        "[0, 0, 0, 0, 0.25, 1, 0, 0]",
    ],
)
def test_weights_by_name_and_in_order_are_the_same(value: Any) -> None:
    assert weights_of(value) == (0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 0.0, 0.0)
    assert json.loads(to_json(value)) == {"surprise": 0.25, "anger": 1.0}
    assert all(isinstance(weight, float) for weight in weights_of(value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"joy": 0.5}, "'joy' is unknown; give 8 numbers from 0 to 1, or an object .*happiness, sadness"),
        ({"anger": 1.1}, "1.1 is no weight of anger"),
        ({"anger": -0.1}, "-0.1 is no weight of anger"),
        ({"anger": True}, "True is no weight of anger"),
        ({"anger": "0.5"}, "'0.5' is no weight of anger"),
        ({"anger": float("nan")}, "nan is no weight"),
        ([10, 0, 0, 0, 0, 0, 0, 0], "10 is no weight of happiness"),
        ({"happiness": 10**400}, "is no weight of happiness"),
        ([0.5] * 7, "7 weights; give 8 numbers"),
        ([], "0 weights"),
        ([0] * 8, "all weights are 0"),
        ({}, "all weights are 0"),
        (5, "5 is neither a list nor an object"),
        ("5", "5 is neither a list nor an object"),
        ('"happy"', "is not JSON|'happy' is unknown|neither a list nor an object"),
        ("happy", "is not JSON"),
        ("[" * 1000, "is not JSON"),
        ("[" * 100_000, "has 100000 characters"),
    ],
)
def test_bad_weights_are_rejected_by_the_fields_name(value: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=f"emotions: .*({problem})"):
        weights_of(value)


def test_a_request_parameter_is_checked_and_has_one_form() -> None:
    options = SpeechOptions.from_parameters({"emotions": "[0,0,0,0,0,0,0,1]"})
    assert options.emotions == '{"neutral": 1.0}'
    with pytest.raises(InvalidInput, match="emotions: 'joy' is unknown"):
        SpeechOptions.from_parameters({"emotions": '{"joy": 1}'})
    assert SpeechOptions.from_parameters({"emotions": ""}) == SpeechOptions()
