"""A checkpoint's config and tensors, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Weights:
    """Everything that a checkpoint holds, on one device, in one precision."""

    folder: Path
    device: torch.device
    dtype: torch.dtype
    config: Mapping[str, Any]
    """config.json."""
    generation: Mapping[str, Any]
    """generation_config.json: the checkpoint's own defaults."""
    speech_tokenizer: Any
    """The package's `Qwen3TTSTokenizerV2Model` (encoder and decoder), in `dtype`."""
    speaker_encoder: Any
    """The package's `Qwen3TTSSpeakerEncoder`, in `dtype`; None where no voice is cloned."""

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Weights:
        """Read a published checkpoint."""
        raise NotImplementedError
