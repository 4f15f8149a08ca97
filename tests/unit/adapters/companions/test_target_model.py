from __future__ import annotations

from collections.abc import Mapping

import pytest

from adapters.companions.target_model import choose_model
from tritone.errors import InvalidInput, Overloaded, TritoneError
from tritone.served import ModelState, ServedDocument, ServedModel


def document(states: Mapping[str, ModelState]) -> ServedDocument:
    speech = ServedModel("kokoro-82m", "speech", "voice", "hexgrad", "ready")
    models = (ServedModel(id_, "transcription", "transcribe", "openai", state) for id_, state in states.items())
    return ServedDocument("serving", (speech, *models))


def test_named_model_is_chosen() -> None:
    served = document({"base": "ready", "small": "ready"})
    assert choose_model("small", served, lambda name: True) == "small"
    assert choose_model("small", None, lambda name: True) == "small"


def test_only_loaded_model_is_chosen_without_a_name() -> None:
    assert choose_model("", document({"base": "failed", "small": "ready"}), lambda name: True) == "small"


@pytest.mark.parametrize(
    ("name", "states", "error", "message"),
    [
        ("", {"base": "ready", "small": "ready"}, InvalidInput, "model: several are loaded; choose from: base, small"),
        ("", {"base": "loading"}, Overloaded, "overloaded: no transcription model is loaded; try again"),
        (
            "kokoro-82m",
            {"base": "ready"},
            InvalidInput,
            "model: 'kokoro-82m' is no transcription model here; choose from: base",
        ),
        ("", None, InvalidInput, "model: is required; send the id of a transcription model"),
    ],
)
def test_wrong_or_missing_name_is_rejected_with_the_choice(
    name: str, states: dict[str, ModelState] | None, error: type[TritoneError], message: str
) -> None:
    with pytest.raises(error) as caught:
        choose_model(name, None if states is None else document(states), lambda name: True)
    assert str(caught.value) == message


@pytest.mark.parametrize("served", [None, document({"base": "loading"})])
def test_model_that_is_not_ready_is_rejected_as_overloaded(served: ServedDocument | None) -> None:
    with pytest.raises(Overloaded, match="base is not loaded; try again"):
        choose_model("base", served, lambda name: False)
