"""What is read of which prompt between two frames."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight.scheduling.chunked_prefill import plan_prefill


def test_several_short_prompts_are_read_together() -> None:
    assert plan_prefill([("a", 20), ("b", 12), ("c", 30)], 64) == {"a": 20, "b": 12, "c": 30}


def test_a_short_prompt_goes_along_with_a_long_one_that_came_before() -> None:
    assert plan_prefill([("long", 400), ("short", 12)], 64) == {"long": 52, "short": 12}


def test_of_those_that_came_after_the_shortest_goes_along() -> None:
    assert plan_prefill([("long", 400), ("middle", 30), ("short", 12)], 64) == {"long": 52, "short": 12}


def test_a_long_prompt_gets_on_by_half_however_many_short_ones_come() -> None:
    taken = plan_prefill([("long", 400), *((str(number), 8) for number in range(9))], 64)
    assert taken["long"] == 32
    assert sorted(taken.values()) == [8, 8, 8, 8, 32]


def test_what_nobody_else_wants_is_the_oldest_ones() -> None:
    assert plan_prefill([("long", 400), ("other", 300)], 64) == {"long": 64}


def test_the_oldest_is_read_to_its_end_where_nobody_is_delayed() -> None:
    assert plan_prefill([("long", 400), ("short", 12)], 64, alone=True) == {"long": 400}
    assert plan_prefill([("short", 12), ("long", 400)], 64, alone=True) == {"short": 12, "long": 52}


def test_where_there_is_nothing_to_read_nothing_is_read() -> None:
    assert plan_prefill([], 64, alone=True) == {}


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=9), st.integers(1, 256))
def test_the_budget_is_used_and_never_exceeded_and_nobody_reads_more_than_there_is(
    lengths: list[int], budget: int
) -> None:
    taken = plan_prefill([*enumerate(lengths)], budget)
    assert sum(taken.values()) == min(budget, sum(lengths))
    assert all(0 < tokens <= lengths[key] for key, tokens in taken.items())


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 64))
def test_nobody_starves_while_short_prompts_keep_coming(lengths: list[int], budget: int) -> None:
    unread = dict(enumerate(lengths))
    turns = 0
    while any(key in unread for key in range(len(lengths))):
        unread[len(lengths) + turns] = 1
        for key, tokens in plan_prefill([*unread.items()], budget).items():
            unread[key] -= tokens
        unread = {key: tokens for key, tokens in unread.items() if tokens}
        turns += 1
    assert turns <= sum(-(-2 * length // budget) for length in lengths)
