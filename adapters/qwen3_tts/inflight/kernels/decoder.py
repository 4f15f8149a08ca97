"""The decoder layers of `layers`, for a GPU: the same numbers, rounded at the same places, in few kernels."""

from __future__ import annotations

from torch import Tensor

from adapters.qwen3_tts.inflight.weights import DecoderWeights


class FusedDecoder:
    """A stack of layers and the norm after it; each row is one token, which goes to a position of a slot.

    For the talker's steps, its prompts and the code predictor alike. Keeps no state. Whatever tensors say (slots,
    positions, lengths) is read on the device, so that the kernels of a number of rows are always the same and may be
    captured.
    """

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        """`positions`: how many a slot of the cache has, at most."""
        raise NotImplementedError

    def __call__(self, x: Tensor, cache: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        """The normed hidden states (rows, hidden) of `x` (rows, hidden), which is left as it is.

        `cache` (layers, slots, positions, 2 * key_value_heads, head_dim), of the weights' type, the last two dimensions
        contiguous: keys first, then values. `slots` and `positions` (rows,) int64. Each row's keys and values are
        written to its position of its slot, and it attends to that slot's positions from 0 to its own; what lies behind
        is not read, so nothing need be cleared. Rows may share a slot, if not a position: the tokens of a prompt, of
        which those before must be among the rows, or in the cache. Rows that pad a batch belong to a spare slot, where
        they may share a position too: what is in it is of no use to anyone.
        """
        raise NotImplementedError
