"""The draw of codes: which may be drawn, and that it depends on the request alone."""

from __future__ import annotations

import pytest
import torch

from adapters.zonos.sampler import CodeSampler, SamplingParams

CPU = torch.device("cpu")
LOGITS = torch.tensor([[4.0, 3.0, 2.0, -1.0, -9.0], [0.0, 0.1, 0.2, 0.3, 0.4]])


def draws(params: SamplingParams, steps: int = 300, columns: tuple[list[int], ...] = ()) -> list[set[int]]:
    """Return the codes of each codebook that are drawn in so many steps, with `columns` before them."""
    sampler = CodeSampler(1, 2, 5, CPU)
    sampler.begin(0, params)
    for column in columns:
        sampler.note(0, column)
    drawn = [sampler.draw(LOGITS[None], 0, [step])[0].tolist() for step in range(steps)]
    return [{codes[book] for codes in drawn} for book in range(2)]


@pytest.mark.parametrize(
    ("params", "possible"),
    [
        (SamplingParams(1, temperature=0.0), [{0}, {4}]),
        (SamplingParams(1, min_p=0.0), [{0, 1, 2, 3}, {0, 1, 2, 3, 4}]),
        (SamplingParams(1, min_p=0.3), [{0, 1}, {0, 1, 2, 3, 4}]),
        (SamplingParams(1, min_p=0.0, top_k=2), [{0, 1}, {3, 4}]),
        (SamplingParams(1, min_p=0.0, top_p=0.5), [{0}, {2, 3, 4}]),
        (SamplingParams(1, temperature=0.1), [{0}, {2, 3, 4}]),
    ],
)
def test_parameters_limit_the_codes_that_are_drawn(params: SamplingParams, possible: list[set[int]]) -> None:
    found = draws(params)
    assert all(codes <= allowed for codes, allowed in zip(found, possible, strict=True))
    assert found[0] >= set(sorted(possible[0])[:2])
    assert found[1] == possible[1]


def test_the_latest_codes_are_penalized_as_often_as_they_occur() -> None:
    greedy = SamplingParams(1, temperature=0.0, repetition_penalty=1.4)
    assert draws(greedy, 1, ([0, 4],))[0] == {1}  # 4 / 1.4 < 3
    once = SamplingParams(1, temperature=0.0, repetition_penalty=1.2)
    assert draws(once, 1, ([0, 4],))[0] == {0}
    assert draws(once, 1, ([0, 4], [0, 4]))[0] == {1}  # 4 / 1.44 < 3
    assert draws(once, 1, ([0, 4], [0, 4], [5, 4], [6, 4]))[0] == {0}  # no longer among the latest two


def test_a_line_draws_the_same_beside_others_and_in_another_place() -> None:
    params = [SamplingParams(seed, min_p=0.0, top_p=0.9 if seed % 2 else 1.0) for seed in range(3)]
    alone = []
    for each in params:
        sampler = CodeSampler(3, 2, 5, CPU)
        sampler.begin(0, each)
        alone.append(sampler.draw(LOGITS[None], 0, [7])[0].tolist())
    together = CodeSampler(3, 2, 5, CPU)
    for line, each in enumerate(params):
        together.begin(line, each)
    assert together.draw(LOGITS.expand(3, -1, -1), 0, [7, 7, 7]).tolist() == alone
    together.move(2, 0)
    assert together.draw(LOGITS[None], 0, [7])[0].tolist() == alone[2]
