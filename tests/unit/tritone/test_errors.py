"""Errors that cross the wire as text."""

import pytest

from tritone.errors import WIRE_ERRORS, DeadlinePassed, InvalidInput, Overloaded, TritoneError, from_text


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("text", "is empty: send at least one word"),
        Overloaded("at capacity (2 requests)"),
        Overloaded("at capacity (2 requests); no more", 7),
        DeadlinePassed("its 2 s have passed"),
    ],
    ids=str,
)
def test_error_keeps_its_class_and_its_values_as_text(error: InvalidInput | Overloaded | DeadlinePassed) -> None:
    received = from_text(str(error))
    assert type(received) is type(error)
    assert str(received) == str(error)
    assert vars(received) == vars(error)


def test_text_of_an_overloaded_model_ends_in_the_estimated_wait() -> None:
    assert str(Overloaded("at capacity (16 streams)", 3)) == "overloaded: at capacity (16 streams); try again in 3 s"


@pytest.mark.parametrize("text", ["Unexpected shape: 3", "the model failed on this request; see the log", ""])
def test_text_of_another_form_is_no_error_of_the_contract(text: str) -> None:
    assert from_text(text) is None


def test_error_has_a_status_and_a_reason_of_its_own() -> None:
    assert set(WIRE_ERRORS) == set(TritoneError.__subclasses__())
    assert len({error.reason for error in WIRE_ERRORS}) == len(WIRE_ERRORS)
    assert {error.triton_code for error in WIRE_ERRORS} == {"INVALID_ARG", "UNAVAILABLE", "NOT_FOUND", "CANCELLED"}
