"""The prefill plan between two frames."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inflight.chunked_prefill import plan_prefill


def test_short_prompts_are_prefilled_together() -> None:
    assert plan_prefill([("a", 20), ("b", 12), ("c", 30)], 64) == {"a": 20, "b": 12, "c": 30}


def test_short_prompt_is_prefilled_beside_an_older_long_one() -> None:
    assert plan_prefill([("long", 400), ("short", 12)], 64) == {"long": 52, "short": 12}


def test_shortest_of_the_newer_prompts_is_prefilled_beside_the_oldest() -> None:
    assert plan_prefill([("long", 400), ("middle", 30), ("short", 12)], 64) == {"long": 52, "short": 12}


def test_oldest_prompt_gets_half_the_budget_beside_many_short_ones() -> None:
    taken = plan_prefill([("long", 400), *((str(number), 8) for number in range(9))], 64)
    assert taken["long"] == 32
    assert sorted(taken.values()) == [8, 8, 8, 8, 32]


def test_oldest_prompt_gets_the_unused_budget() -> None:
    assert plan_prefill([("long", 400), ("other", 300)], 64) == {"long": 64}


def test_oldest_prompt_is_prefilled_to_its_end_if_no_stream_decodes() -> None:
    assert plan_prefill([("long", 400), ("short", 12)], 64, alone=True) == {"long": 400}
    assert plan_prefill([("short", 12), ("long", 400)], 64, alone=True) == {"short": 12, "long": 52}


def test_no_prompts_give_an_empty_plan() -> None:
    assert plan_prefill([], 64, alone=True) == {}


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=9), st.integers(1, 256))
def test_plan_uses_the_budget_and_exceeds_neither_it_nor_any_prompt(lengths: list[int], budget: int) -> None:
    taken = plan_prefill([*enumerate(lengths)], budget)
    assert sum(taken.values()) == min(budget, sum(lengths))
    assert all(0 < tokens <= lengths[key] for key, tokens in taken.items())


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 64))
def test_no_prompt_starves_while_short_ones_keep_arriving(lengths: list[int], budget: int) -> None:
    unread = dict(enumerate(lengths))
    turns = 0
    while any(key in unread for key in range(len(lengths))):
        unread[len(lengths) + turns] = 1
        for key, tokens in plan_prefill([*unread.items()], budget).items():
            unread[key] -= tokens
        unread = {key: tokens for key, tokens in unread.items() if tokens}
        turns += 1
    assert turns <= sum(-(-2 * length // budget) for length in lengths)
