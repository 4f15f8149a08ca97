"""The `qwen-tts` package, without modules that it imports but no published checkpoint uses.

Its 25 Hz tokenizer imports sox, torchaudio, onnxruntime, einops and flash-attn; the Qwen3-TTS checkpoints use the 12 Hz
tokenizer. A stand-in for that module keeps these packages out of the environment.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

_UNUSED = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"


class _NoModel:
    """Stand-in for the model class of the 25 Hz tokenizer."""


def _stand_in() -> ModuleType:
    module = ModuleType(_UNUSED, _NoModel.__doc__)
    module.Qwen3TTSTokenizerV1Model = _NoModel  # type: ignore[attr-defined]
    return module


sys.modules.setdefault(_UNUSED, _stand_in())
os.environ["HF_HUB_OFFLINE"] = "1"  # a missing file of a checkpoint must be an error, not a download

from qwen_tts import Qwen3TTSModel, VoiceClonePromptItem, core  # noqa: E402 - the stand-in comes first

__all__ = ["Qwen3TTSModel", "VoiceClonePromptItem", "core"]
