"""What the decoders and the sampler do, as kernels for a GPU, written in the Triton language.

How many are launched, and how many operations of torch those are that they stand for:

                                                           torch        here
    a layer: norms and residuals                               6           2
             norm and rotation of heads, cache                 7           1
             attention                                         4           1 or, where rows are few, 2
             activation                                        2           1
             matrices                                          4           4
    a frame of 1.7B: 28 layers of the talker                 646         253 to 281
                     15 passes of the predictor's 5         1680         690
                     16 draws                                130          16

The language's compiler fuses products with the sums they go into, even where they are rounded in between: kernels
that round forbid it. Importing this needs no more than torch; `decoder` and `sampling` need the language.
"""

from __future__ import annotations

import logging

import torch

log = logging.getLogger(__name__)


def available(device: torch.device) -> bool:
    """Whether the kernels run there: on a GPU that the language knows, with what it needs to compile them.

    Tells by trying one, and logs why not. On other devices the language's interpreter runs them, for tests alone.
    """
    if device.type != "cuda":
        return False
    try:
        from adapters.qwen3_tts.inflight.kernels.activation import silu_mul  # noqa: PLC0415 - see above

        silu_mul(torch.zeros(1, 2, device=device))
        torch.cuda.synchronize(device)
    except Exception as error:  # the compiler's own errors have no common type
        log.warning("no fused kernels on %s: %s: %s", device, type(error).__name__, error)
        return False
    return True
