"""Kernels of the decoder layers and the sampler for a GPU, written in the Triton language.

Launches, and the torch operations that they replace:

                                                           torch     kernels
    a layer: norms and residuals                               6           2
             norm and rotation of heads, cache                 7           1
             attention                                         4           1, or 2 with few rows
             activation                                        2           1
             matrices                                          4           4
    a frame of 1.7B: 28 layers of the talker                 646         253 to 281
                     15 passes of the predictor's 5         1680         690
                     16 draws                                130          16

The language's compiler fuses a product with the sum it goes into, even if there is a rounding between them; kernels
that round disable this. This module needs only torch; `decoder` and `sampling` need the language.
"""

from __future__ import annotations

import logging

import torch

log = logging.getLogger(__name__)


def available(device: torch.device) -> bool:
    """Return True if the kernels run on a device: a GPU that the Triton language supports, with a compiler.

    It runs one kernel, and logs the error if that fails. On other devices only tests run the kernels, in the
    interpreter.
    """
    if device.type != "cuda":
        return False
    try:
        from adapters.qwen3_tts.inflight.model.kernels.activation import silu_mul  # noqa: PLC0415 - see the module's docstring

        silu_mul(torch.zeros(1, 2, device=device))
        torch.cuda.synchronize(device)
    except Exception as error:  # the compiler's errors have no common type
        log.warning("no fused kernels on %s: %s: %s", device, type(error).__name__, error)
        return False
    return True
