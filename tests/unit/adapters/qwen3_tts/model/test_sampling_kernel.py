"""The draw kernel compared with the plain sampler; without a GPU the kernel runs in the interpreter."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.inflight.noise import GumbelNoise, noise_key
from adapters.qwen3_tts.inflight.model.kernels.sampling import FirstCodeRules, FusedRowSampler, _gumbel, _warped
from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler, penalized
from adapters.qwen3_tts.inflight.model.sampling_params import LogitsParams, SamplingParams

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
VOCABULARY, NUMBERS = 300, 1000
END, CONTROL = 270, 260

quick = partial(settings, deadline=None, database=None, derandomize=True)
top_k = st.sampled_from([0, 1, 2, 50, VOCABULARY - 1, VOCABULARY, 1000])
temperature = st.sampled_from([0.3, 0.9, 1.0, 2.5])


def scores_of(rows: int, seed: int, *, tied: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    scores = torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
    return ((scores / 2).round() * -0.5 if tied else scores).to(DEVICE, dtype)  # with zeros of either sign


def loaded(*warps: LogitsParams) -> RowSampler:
    sampler = RowSampler(len(warps), VOCABULARY, DEVICE)
    sampler.load(warps)
    return sampler


@triton.jit
def _warp(scores, temperature, last_kept, rest, VOCABULARY: tl.constexpr, BLOCK: tl.constexpr):
    code = tl.arange(0, BLOCK)
    score = tl.load(scores + code, code < VOCABULARY, float("-inf"))
    score = _warped(score, tl.load(temperature), tl.load(last_kept) + 1, tl.load(rest), VOCABULARY)
    tl.store(scores + code, score, code < VOCABULARY)


def warped(scores: Tensor, warp: LogitsParams) -> Tensor:
    ours, sampler = scores.clone(), loaded(warp)
    _warp[(1,)](ours, sampler.temperature, sampler.last_kept, sampler.rest, VOCABULARY=VOCABULARY, BLOCK=512)
    return ours


@given(top_k, temperature, st.booleans(), st.integers(0, 99))
@quick(max_examples=25)
def test_top_k_keeps_the_same_scores_as_the_plain_sampler_with_ties(
    top_k: int, temperature: float, tied: bool, seed: int
) -> None:
    scores, warp = scores_of(1, seed, tied=tied), LogitsParams(True, temperature, top_k, 1.0)
    scores[:, CONTROL:] = -torch.inf
    assert torch.equal(warped(scores, warp), loaded(warp).warp(scores))


@given(top_k, temperature, st.sampled_from([0.0, 0.1, 0.5, 0.95, 0.999]), st.integers(0, 99))
@quick(max_examples=25)
def test_top_p_keeps_the_same_scores_as_the_plain_sampler(
    top_k: int, temperature: float, top_p: float, seed: int
) -> None:
    scores, warp = scores_of(1, seed), LogitsParams(True, temperature, top_k, top_p)
    scores[:, CONTROL:] = -torch.inf
    assert torch.equal(warped(scores, warp), loaded(warp).warp(scores))


@given(st.sampled_from([0.0, 0.3, 0.7, 0.95]), st.integers(0, 99))
@quick(max_examples=15)
def test_top_p_keeps_all_scores_that_tie_at_its_edge(top_p: float, seed: int) -> None:
    scores, warp = scores_of(1, seed, tied=True), LogitsParams(True, 1.0, 0, top_p)
    ours, theirs = warped(scores, warp), loaded(warp).warp(scores)
    least = theirs[theirs.isfinite()].min()
    assert torch.equal(ours, scores.masked_fill(scores < least, -torch.inf))


@triton.jit
def _noise(numbers, keys, target, BLOCK: tl.constexpr):
    place = tl.arange(0, BLOCK)
    tl.store(target + place, _gumbel(tl.load(numbers + place), tl.load(keys)))


def test_kernel_noise_equals_the_plain_noise() -> None:
    frames = torch.tensor([-1, 0, 7, 2**40], device=DEVICE)
    for frame, seed in zip(frames, (0, 1, -5, 2**70), strict=True):
        keys = torch.tensor([noise_key(seed)], device=DEVICE)
        numbers = frame * 4096 + torch.arange(4096, device=DEVICE)
        ours = torch.empty(4096, device=DEVICE)
        _noise[(1,)](numbers, keys, ours, BLOCK=4096)
        theirs = GumbelNoise(4096, DEVICE).gumbel(keys, frame[None])[0]
        # A last place of either logarithm: the outer one's is absolute where its argument is near 1.
        torch.testing.assert_close(ours, theirs, atol=3e-7, rtol=5e-7)


WARPS = [
    LogitsParams(True, 0.9, 50, 1.0),
    LogitsParams(False, 0.9, 50, 1.0),
    LogitsParams(True, 1.3, 0, 0.8),
    LogitsParams(True, 0.4, 5, 0.5),
    LogitsParams(True, 2.0, 0, 1.0),
]
warps = st.lists(st.sampled_from(WARPS), min_size=1, max_size=4)


@given(warps, st.sampled_from([torch.float32, torch.bfloat16, torch.float16]), st.integers(0, 999))
@quick(max_examples=25)
def test_kernel_codes_equal_the_plain_codes(warps: list[LogitsParams], dtype: torch.dtype, seed: int) -> None:
    rows = len(warps)
    scores = scores_of(rows, seed, tied=seed % 5 == 0, dtype=dtype)
    sampler = loaded(*(warp._replace(top_p=1.0) if seed % 5 == 0 else warp for warp in warps))
    keys = torch.tensor([noise_key(seed + row) for row in range(rows)], device=DEVICE)
    counters = torch.randint(-1, 500, (rows, 3), generator=torch.Generator().manual_seed(seed)).to(DEVICE)
    noise = GumbelNoise(NUMBERS, DEVICE).gumbel(keys, counters[:, 2], slice(600, 600 + VOCABULARY))
    drawn = FusedRowSampler(sampler, keys, NUMBERS).draw(scores, counters[:, 2], 600)
    assert torch.equal(drawn, sampler.draw(scores.float(), noise))


@given(
    warps,
    st.lists(st.sampled_from([0.5, 1.0, 1.05, 2.0]), min_size=4),
    st.lists(st.integers(0, 4), min_size=4),
    st.data(),
)
@quick(max_examples=25)
def test_first_code_rules_apply_to_codebook_0(
    warps: list[LogitsParams], penalties: list[float], drawn: list[int], data: Any
) -> None:
    rows, seed = len(warps), data.draw(st.integers(0, 999))
    slots = torch.tensor(data.draw(st.permutations(range(5)))[:rows], device=DEVICE)
    scores = scores_of(rows, seed, dtype=torch.bfloat16)
    scores[:, [END, CONTROL]] += 6  # both would be drawn often
    generator = torch.Generator().manual_seed(seed)
    seen = (torch.rand(5, VOCABULARY, generator=generator) < 0.3).to(DEVICE)
    counters = torch.tensor([[0, each] for each in drawn[:rows]], device=DEVICE)
    penalty = torch.tensor(penalties[:rows], device=DEVICE)[:, None]
    least = torch.full((rows,), 2, device=DEVICE)
    rules = FirstCodeRules(seen.clone(), slots, penalty, counters[:, 1], least, END, CONTROL)
    keys, sampler = torch.arange(rows, device=DEVICE), loaded(*warps)
    codes = FusedRowSampler(sampler, keys, NUMBERS).draw(scores, counters[:, 1] - 1, 700, rules)

    expected = penalized(scores.float(), seen[slots], penalty)
    codes_of_all = torch.arange(VOCABULARY, device=DEVICE)
    expected[:, (codes_of_all >= CONTROL) & (codes_of_all != END)] = -torch.inf
    expected[counters[:, 1] < least, END] = -torch.inf
    noise = GumbelNoise(NUMBERS, DEVICE).gumbel(keys, counters[:, 1] - 1, slice(700, NUMBERS))
    assert torch.equal(codes, sampler.draw(expected, noise))
    seen[slots, codes] = True
    assert torch.equal(rules.seen, seen)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the interpreter warns about NaN
@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_row_of_nan_draws_a_valid_code_and_leaves_other_rows_alone(warp: LogitsParams, value: float) -> None:
    scores, keys, frames = scores_of(2, 0), torch.arange(2, device=DEVICE), torch.zeros(2, dtype=int, device=DEVICE)
    sampler = FusedRowSampler(loaded(warp, warp), keys, NUMBERS)
    sound = sampler.draw(scores, frames, 0)
    scores[0] = value
    codes = sampler.draw(scores, frames, 0)
    assert 0 <= codes[0] < VOCABULARY
    assert codes[1] == sound[1]


def test_kernel_draws_from_the_whole_vocabulary_of_a_published_checkpoint() -> None:
    warp, vocabulary = SamplingParams().talker, 3072
    sampler = RowSampler(1, vocabulary, DEVICE)
    sampler.load([warp])
    scores = torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    keys, frames = torch.tensor([noise_key(1)], device=DEVICE), torch.tensor([3], device=DEVICE)
    noise = GumbelNoise(15 * 2048 + vocabulary, DEVICE).gumbel(keys, frames, slice(15 * 2048, None))
    drawn = FusedRowSampler(sampler, keys, 15 * 2048 + vocabulary).draw(scores, frames, 15 * 2048)
    assert torch.equal(drawn, sampler.draw(scores, noise))
