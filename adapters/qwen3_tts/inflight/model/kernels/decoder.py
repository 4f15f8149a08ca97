"""The layers of `layers.Decoder` in few kernels, for a GPU: the same values, with the same roundings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from adapters.inflight.attention import rotation_tables
from adapters.qwen3_tts.inflight.model.kernels.activation import silu_mul
from adapters.qwen3_tts.inflight.model.kernels.attention import attend
from adapters.qwen3_tts.inflight.model.kernels.norm import add_norm
from adapters.qwen3_tts.inflight.model.kernels.rotary import rotate_and_store
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights


class FusedDecoder:
    """A stack of layers and the final norm. Each row is one token, for one position of a slot.

    Used for the talker's steps, its prefill and the code predictor. It has no state. Slots, positions and lengths are
    read on the device, so that a number of rows always launches the same kernels, which can be captured.
    """

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        """`positions`: the largest number of positions of a cache slot."""
        self._layers = weights.layers
        self._norm = weights.norm
        self._eps = weights.eps
        self._heads = weights.heads
        self._dim = weights.head_dim
        self._cos, self._sin = (
            table.squeeze(1)
            for table in rotation_tables(weights.head_dim, weights.rope_theta, positions, like=weights.norm)
        )

    def __call__(self, x: Tensor, cache: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        """Return the normed hidden states (rows, hidden) of `x` (rows, hidden), which is not changed.

        `cache` (layers, slots, positions, 2 * key_value_heads, head_dim) has the weights' type and contiguous last two
        dimensions: keys first, then values. `slots` and `positions` are (rows,) int64. Each row's keys and values are
        written to its position of its slot, and it attends to the positions of that slot from 0 to its own. Positions
        behind are not read, so the cache need not be cleared. Rows may share a slot but not a position: they are tokens
        of a prompt, and the tokens before must be among the rows or in the cache. Padding rows belong to a spare slot,
        where they may share a position; its content is never used.
        """
        assert x.is_contiguous()
        assert cache[0, 0, 0].is_contiguous()
        delta: Tensor | None = None
        for layer, lines in zip(self._layers, cache.unbind(0), strict=True):
            x, normed = add_norm(x, delta, layer.input_norm, self._eps)
            qkv = F.linear(normed, layer.qkv).view(len(x), -1, self._dim)
            rotate_and_store(qkv, layer.qk_norm, self._cos, self._sin, lines, slots, positions, self._eps)
            delta = F.linear(attend(qkv[:, : self._heads], lines, slots, positions), layer.attention_out)
            x, normed = add_norm(x, delta, layer.mlp_norm, self._eps)
            delta = F.linear(silu_mul(F.linear(normed, layer.gate_up)), layer.down)
        return add_norm(x, delta, self._norm, self._eps)[1]
