"""The decoder layers of `layers`, for a GPU: the same numbers, rounded at the same places, in few kernels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.kernels.activation import silu_mul
from adapters.qwen3_tts.inflight.kernels.attention import attend
from adapters.qwen3_tts.inflight.kernels.norm import add_norm
from adapters.qwen3_tts.inflight.kernels.rotary import rotate_and_store
from adapters.qwen3_tts.inflight.layers import rotation_tables
from adapters.qwen3_tts.inflight.weights import DecoderWeights


class FusedDecoder:
    """A stack of layers and the norm after it; each row is one token, which goes to a position of a slot.

    For the talker's steps, its prompts and the code predictor alike. Keeps no state. Whatever tensors say (slots,
    positions, lengths) is read on the device, so that the kernels of a number of rows are always the same and may be
    captured.
    """

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        """`positions`: how many a slot of the cache has, at most."""
        self._layers = weights.layers
        self._norm = weights.norm
        self._eps = weights.eps
        self._heads = weights.heads
        self._dim = weights.head_dim
        self._cos, self._sin = (table.squeeze(1) for table in rotation_tables(weights, positions))

    def __call__(self, x: Tensor, cache: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        """The normed hidden states (rows, hidden) of `x` (rows, hidden), which is left as it is.

        `cache` (layers, slots, positions, 2 * key_value_heads, head_dim), of the weights' type, the last two dimensions
        contiguous: keys first, then values. `slots` and `positions` (rows,) int64. Each row's keys and values are
        written to its position of its slot, and it attends to that slot's positions from 0 to its own; what lies behind
        is not read, so nothing need be cleared. Rows may share a slot, if not a position: the tokens of a prompt, of
        which those before must be among the rows, or in the cache. Rows that pad a batch belong to a spare slot, where
        they may share a position too: what is in it is of no use to anyone.
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
