"""Mixes of voices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.errors import InvalidInput
from tritone.voice_mix import is_mix, rename, shares_of


@pytest.mark.parametrize(
    ("mix", "shares"),
    [
        ("anna+ben", {"anna": 1 / 2, "ben": 1 / 2}),
        ("anna(2)+ben(1)", {"anna": 2 / 3, "ben": 1 / 3}),
        ("anna(3)+ben", {"anna": 3 / 4, "ben": 1 / 4}),
        (" anna ( 0.25 ) + ben(.75) ", {"anna": 1 / 4, "ben": 3 / 4}),
        ("anna(1)+ben(1)+anna(2)", {"anna": 3 / 4, "ben": 1 / 4}),
        ("anna(0)+ben(5)", {"ben": 1}),
        ("anna(2)", {"anna": 1}),
    ],
)
def test_shares_are_the_weights_over_their_sum(mix: str, shares: dict[str, float]) -> None:
    assert is_mix(mix)
    assert shares_of(mix) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("mix", "problem"),
    [
        ("anna+", "'' is not a name, or name"),
        ("+anna", "'' is not a name"),
        ("anna++ben", "'' is not a name"),
        ("anna(-1)+ben", r"'anna\(-1\)' is not a name, or name\(weight\)"),
        ("anna(nan)+ben", "is not a name"),
        ("anna(1e3)+ben", "is not a name"),
        ("anna(2", "is not a name"),
        ("anna(2)x+ben", "is not a name"),
        ("(2)+ben", "is not a name"),
        ("anna(0)+ben(0)", "no weight above 0"),
        ("+".join(f"v{n}" for n in range(17)), "mixes 17 voices; the most is 16"),
        ("a" * 70 + "+ben", "is not a name"),
    ],
)
def test_other_forms_are_rejected_with_the_part_that_is_wrong(mix: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        shares_of(mix)
    assert caught.value.field == "voice"


def test_names_are_replaced_and_a_mix_of_one_voice_is_that_voice() -> None:
    assert rename("Anna(2)+ben(1)", str.upper) == "ANNA(0.666667)+BEN(0.333333)"
    assert rename("anna(2)+Anna", str.upper) == "ANNA"


def test_name_without_a_voice_of_the_model_is_rejected() -> None:
    with pytest.raises(InvalidInput, match="this model has no voice for 'ben' in the mix"):
        rename("anna+ben", {"anna": "anna", "ben": ""}.__getitem__)


@given(st.dictionaries(st.text("abc_", min_size=1), st.integers(1, 999), min_size=2, max_size=16))
def test_renamed_mix_has_the_same_shares(weights: dict[str, int]) -> None:
    mix = "+".join(f"{name}({weight})" for name, weight in weights.items())
    assert shares_of(rename(mix, str)) == pytest.approx(shares_of(mix), abs=1e-5)


@given(st.text())
def test_any_text_is_a_mix_or_an_invalid_voice(text: str) -> None:
    try:
        shares = shares_of(text)
    except InvalidInput:
        return
    assert sum(shares.values()) == pytest.approx(1)
