"""A codec decoder with other weights and shapes than the test checkpoints."""

from __future__ import annotations

import copy
from typing import Any

import torch


def another_decoder(decoder: Any) -> Any:
    """Return a decoder of the same kind, in float64, with other values for every scale, norm and bias, and unused
    codes.

    As in the published decoder, heads are wider than the layers. Unlike there, they share keys, and the window is
    short.
    """
    config = copy.deepcopy(decoder.config)
    config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.sliding_window = 6, 2, 4, 9
    torch.manual_seed(0)
    another = type(decoder)._from_config(config).double().eval()
    for weight in another.parameters():
        if weight.dim() == 1:
            torch.nn.init.uniform_(weight, 0.2, 1)
        else:
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    book = another.quantizer.rvq_first.vq.layers[0]._codebook
    book.cluster_usage.data[:2] = 0
    book.embedding_sum.data[:2] *= book.epsilon
    last = another.decoder[-1].conv
    last.weight.data *= 0.01  # no sample may be clipped: clipping would hide differences
    last.bias.data *= 0.1
    return another
