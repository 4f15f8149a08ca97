"""What the decoders and the sampler do, as kernels for a GPU, written in the Triton language.

Importing this needs no more than torch; `decoder` and `sampling` need the language.
"""

from __future__ import annotations

import torch


def available(device: torch.device) -> bool:
    """Whether kernels can be made for the device: it is a GPU, and there is the language, and a C compiler for it."""
    raise NotImplementedError
