"""The `qwen-tts` package, without the parts that it imports and that no published checkpoint uses.

Its 25 Hz tokenizer asks for sox, torchaudio, onnxruntime, einops and flash-attn; the Qwen3-TTS checkpoints have the
12 Hz one. An empty stand-in for the module keeps all of that out of the environment.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

_UNUSED = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"


class _NoModel:
    """In the place of the 25 Hz tokenizer's model class."""


def _stand_in() -> ModuleType:
    module = ModuleType(_UNUSED, _NoModel.__doc__)
    module.Qwen3TTSTokenizerV1Model = _NoModel  # type: ignore[attr-defined]
    return module


sys.modules.setdefault(_UNUSED, _stand_in())
os.environ["HF_HUB_OFFLINE"] = "1"  # a checkpoint is a folder; what it lacks must be told, not fetched

from qwen_tts import Qwen3TTSModel, VoiceClonePromptItem, core  # noqa: E402 - the stand-in comes first

__all__ = ["Qwen3TTSModel", "VoiceClonePromptItem", "core"]
