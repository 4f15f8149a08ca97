"""The audio of codes: the decoder of transformers' DAC, in pieces that join without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DacModel

from adapters.zonos.checkpoint import CODEBOOKS, UnreadableCheckpointError

CONTEXT: Final = 10
"""Frames before and after a frame that its samples depend on: what the convolutions reach."""


class Codec:
    """Codes of 9 codebooks -> samples."""

    def __init__(self, model: Any) -> None:
        """`model`: the package's `DacModel`; its encoder is dropped."""
        self._quantizer = model.quantizer
        self._decoder = model.decoder
        self._device = next(model.decoder.parameters()).device
        self._dtype = next(model.decoder.parameters()).dtype
        self.rate = int(model.config.sampling_rate)
        """Hz."""
        self.hop = int(model.config.hop_length)
        """Samples of a frame."""

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> Codec:
        """Read a published folder; raises `UnreadableCheckpointError` if any weight is missing or unknown."""
        try:
            model, report = DacModel.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        except (OSError, ValueError) as error:
            raise UnreadableCheckpointError(f"{folder} is no DAC checkpoint: {str(error).splitlines()[0]}") from None
        for kind, names in report.items():
            if names:
                raise UnreadableCheckpointError(f"{folder}: {kind.replace('_', ' ')}: {', '.join(map(str, names))}")
        if model.config.n_codebooks != CODEBOOKS:
            raise UnreadableCheckpointError(f"{folder} has {model.config.n_codebooks} codebooks, not {CODEBOOKS}")
        return cls(model.to(device).eval().requires_grad_(False))

    def decode(self, codes: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the samples (n * hop,) of codes (n, codebooks)."""
        books = torch.tensor(codes, device=self._device).T[None]
        latents = self._quantizer.from_codes(books)[0].to(self._dtype)
        samples: NDArray[np.float32] = self._decoder(latents)[0, 0].float().cpu().numpy()
        return samples


class PieceDecoder:
    """Decodes the codes of one text as they come. Each piece is decoded with the frames around it."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._codes: list[Sequence[int]] = []
        """The last frames that are decoded, as context, and those that are not yet."""
        self._done = 0
        """The number of `_codes` that are decoded."""

    def decode(self, codes: Sequence[Sequence[int]], *, last: bool) -> NDArray[np.float32]:
        """Return the samples that are certain after some more `codes`; those of `CONTEXT` frames wait for the next.

        `last`: no more frames come.
        """
        self._codes.extend(codes)
        ready = len(self._codes) if last else len(self._codes) - CONTEXT
        if ready <= self._done:
            return np.empty(0, np.float32)
        samples = self._codec.decode(self._codes)[self._done * self._codec.hop : ready * self._codec.hop]
        kept = max(0, ready - CONTEXT)
        self._codes = self._codes[kept:]
        self._done = ready - kept
        return samples
