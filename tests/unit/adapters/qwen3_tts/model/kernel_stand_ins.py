"""The kernels' results in plain torch, which is faster than the interpreter."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from adapters.inflight.attention import attend, keys_and_values
from adapters.inflight.noise import GumbelNoise
from adapters.qwen3_tts.inflight.model.kernels.sampling import FirstCodeRules
from adapters.qwen3_tts.inflight.model.layers import Decoder
from adapters.qwen3_tts.inflight.model.row_sampler import DrawPlan, RowSampler, penalized
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights


class StandInDecoder:
    """Replaces `FusedDecoder`."""

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        self._decoder = Decoder(weights, positions)
        self._group = weights.heads // weights.key_value_heads

    def __call__(self, x: Tensor, cache: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        assert all(tensor.is_contiguous() for tensor in (x, slots, positions))
        behind = torch.arange(cache.shape[2], device=x.device) > positions[:, None]
        mask = torch.zeros(len(x), 1, self._group, cache.shape[2], dtype=x.dtype, device=x.device)
        mask.masked_fill_(behind[:, None, None], -torch.inf)

        def attend_own(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            cache[layer].index_put_((slots, positions), keys_values)
            own = (
                cache[layer].index_select(0, slots).masked_fill_(behind[:, :, None, None], 0)
            )  # the kernels do not read it
            return attend(queries, *keys_and_values(own), mask)

        return self._decoder.norm(self._decoder(x, self._decoder.rotations(positions), attend_own))


class StandInRowSampler:
    """Replaces `FusedRowSampler`."""

    def __init__(self, sampler: RowSampler, keys: Tensor, numbers: int) -> None:
        self._sampler = copy(sampler)  # every draw has the same operations, whatever the rows' parameters
        self._keys = keys
        self._noise = GumbelNoise(numbers, keys.device)

    def draw(self, scores: Tensor, frames: Tensor, noise_offset: int, rules: FirstCodeRules | None = None) -> Tensor:
        vocabulary = scores.shape[1]
        self._sampler.plan = DrawPlan(sampled=True, greedy=True, candidates=vocabulary, nucleus=True)
        scores = scores.float()
        if rules is not None:
            scores = penalized(scores, rules.seen.index_select(0, rules.slots), rules.penalty)
            codes = torch.arange(vocabulary, device=scores.device)
            too_soon = (codes == rules.end) & (rules.drawn < rules.min_tokens)[:, None]
            scores = scores.masked_fill(too_soon | (codes >= rules.control) & (codes != rules.end), -torch.inf)
        drawn = self._sampler.draw(
            scores, self._noise.gumbel(self._keys, frames, slice(noise_offset, noise_offset + vocabulary))
        )
        if rules is not None:
            rules.seen.index_put_((rules.slots, drawn), torch.ones((), dtype=torch.bool, device=drawn.device))
        return drawn
