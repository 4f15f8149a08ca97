"""Draws compared with the reference's processors, value by value, and the distribution of the noise."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest
import torch
from scipy import stats
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from adapters.inflight.noise import GumbelNoise, noise_key
from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler, penalized
from adapters.qwen3_tts.inflight.model.sampling_params import LogitsParams, SamplingParams
from adapters.qwen3_tts.package import Qwen3TTSModel
from tritone.contract import SpeechOptions

CPU = torch.device("cpu")
VOCABULARY = 300
WARPS = [
    LogitsParams(True, temperature, top_k, top_p)
    for temperature, top_k, top_p in product((0.05, 0.9, 1.0, 2.5), (0, 1, 50, 64, 65, 1000), (0.0, 0.3, 0.95, 1.0))
]


def tied_scores(rows: int, seed: int = 0) -> Tensor:
    """Return scores of few different values, so that many tie, with some of them suppressed."""
    scores = (torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 4).round() / 2
    scores[:, ::7] = -torch.inf
    return scores


def by_the_reference(warp: LogitsParams, scores: Tensor) -> Tensor:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(warp.temperature)] if warp.temperature != 1 else [])
    warpers += [TopKLogitsWarper(warp.top_k)] if warp.top_k else []
    warpers += [TopPLogitsWarper(warp.top_p)] if warp.top_p < 1 else []
    return warpers(None, scores)


def loaded(warps: list[LogitsParams], vocabulary: int = VOCABULARY) -> RowSampler:
    sampler = RowSampler(len(warps), vocabulary, CPU)
    sampler.load(warps)
    return sampler


@pytest.mark.parametrize("tied", [True, False], ids=["scores tie", "scores differ"])
def test_warped_scores_equal_the_references_in_any_batch(tied: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = tied_scores(len(WARPS)) if tied else torch.randn(len(WARPS), VOCABULARY, generator=generator)
    together = loaded(WARPS).warp(scores)
    for row, warp in enumerate(WARPS):
        expected = by_the_reference(warp, scores[row : row + 1])
        assert torch.equal(together[row : row + 1], expected), warp
        assert torch.equal(loaded([warp]).warp(scores[row : row + 1]), expected), warp


def test_plan_sorts_no_more_candidates_than_needed() -> None:
    assert loaded([LogitsParams(True, 1.0, 50, 1.0), LogitsParams(False, 1.0, 0, 0.5)]).plan == (True, True, 64, False)
    assert loaded([LogitsParams(True, 1.0, 50, 1.0), LogitsParams(True, 1.0, 65, 1.0)]).plan == (
        True,
        False,
        VOCABULARY,
        False,
    )
    assert loaded([LogitsParams(False, 1.0, 50, 1.0)]).plan.sampled is False


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.05, 2.0])
def test_repetition_penalty_equals_the_references(penalty: float) -> None:
    scores = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(2))
    history = torch.tensor([[0, 5, 5, 299], [1, 2, 3, 4]])
    seen = torch.zeros(2, VOCABULARY, dtype=torch.bool).scatter_(1, history, True)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(history, scores)
    assert torch.equal(penalized(scores, seen, torch.tensor([[penalty]])), expected)


def test_greedy_row_takes_the_first_best_code() -> None:
    scores = torch.tensor([[0.0, 2.0, 2.0, 1.0]]).expand(2, -1)
    noise = torch.tensor([[0.0, 0.0, 0.0, 9.0]]).expand(2, -1)
    drawn = loaded([LogitsParams(False, 1.0, 0, 1.0), LogitsParams(True, 1.0, 0, 1.0)], vocabulary=4).draw(
        scores, noise
    )
    assert drawn.tolist() == [1, 3]


@pytest.mark.parametrize("over", ["frames", "seeds"])
def test_codes_are_drawn_with_their_probabilities(over: str) -> None:
    draws, probabilities = 20_000, torch.tensor([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    counted = torch.arange(draws)
    keys = torch.tensor([noise_key(seed) for seed in (range(draws) if over == "seeds" else [7] * draws)])
    noise = GumbelNoise(60, CPU).gumbel(keys, torch.zeros_like(counted) if over == "seeds" else counted)
    sampler = loaded([LogitsParams(True, 1.0, 0, 1.0)] * draws, vocabulary=6)
    scores = probabilities.log().expand(draws, -1)
    for book in range(10):
        codes = sampler.draw(scores, noise[:, 6 * book : 6 * book + 6])
        counts = torch.bincount(codes, minlength=6).numpy()
        assert stats.chisquare(counts, (probabilities * draws).double().numpy(), sum_check=False).pvalue > 1e-3, book


def test_draws_of_a_frame_and_the_next_are_independent() -> None:
    draws, kinds = 20_000, 4
    noise = GumbelNoise(2 * kinds, CPU).gumbel(torch.full((draws,), noise_key(1)), torch.arange(draws))
    first, second = noise[:, :kinds].argmax(-1), noise[:, kinds:].argmax(-1)
    for one, other in ((first, second), (first[1:], first[:-1]), (first[1:], second[:-1])):
        table = torch.bincount(one * kinds + other, minlength=kinds**2).view(kinds, kinds)
        assert stats.chi2_contingency(table.numpy()).pvalue > 1e-3


def test_noise_is_finite_and_has_the_gumbel_distribution() -> None:
    noise = GumbelNoise(200_000, CPU).gumbel(torch.tensor([noise_key(3)]), torch.tensor([0]))[0]
    assert noise.isfinite().all()
    assert stats.kstest(noise.numpy(), "gumbel_r").pvalue > 1e-3


def test_noise_depends_on_key_frame_and_offset_alone() -> None:
    keys, frames = torch.tensor([noise_key(seed) for seed in (1, 2, 2**64 + 1)]), torch.tensor([5, 5, 5])
    together = GumbelNoise(100, CPU).gumbel(keys, frames)
    alone = GumbelNoise(100, CPU).gumbel(keys[1:2], frames[1:2])
    part = GumbelNoise(100, CPU).gumbel(keys, frames, slice(90, None))
    assert torch.equal(together[1:2], alone)
    assert torch.equal(together[:, 90:], part)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(GumbelNoise(100, CPU).gumbel(keys, frames + 1), together)


def test_default_sampling_params_equal_the_packages() -> None:
    package = Qwen3TTSModel._merge_generate_kwargs(SimpleNamespace(generate_defaults={}))
    assert package.pop("max_new_tokens") == 2048
    assert package == {name: value for name, value in vars(SamplingParams()).items() if name in package}


def test_options_override_generation_config_and_unknown_entries_are_ignored() -> None:
    checkpoint = {"temperature": 0.7, "top_k": 20, "max_new_tokens": 8192, "subtalker_top_p": 0.9}
    sampling = SamplingParams.from_options(checkpoint, SpeechOptions(temperature=0.5), seed=3)
    assert sampling == SamplingParams(temperature=0.5, top_k=20, subtalker_top_p=0.9, seed=3)
