"""The package's decoder in our layers."""

from __future__ import annotations

from typing import Any

import torch

from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.weights import CodecWeights


def converted(package: Any, dtype: torch.dtype | None = None, *, fused: bool | None = None) -> CodecDecoder:
    """Convert a `Qwen3TTSTokenizerV2Decoder`, by default in its own precision."""
    return CodecDecoder(
        CodecWeights(package.state_dict(), package.config.to_dict()), dtype or package.dtype, fused=fused
    )
