"""The networks of `f5-tts` and `vocos`, without modules that they import but that this family does not use.

Their import lists torchaudio, which has no release for this torch, encodec, and a trainer with its own tools. Stand-ins
keep them out of the environment: spectrograms are computed by `spectrogram`.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final


class _Absent:
    """Stand-in for a class or function that is never called."""


def _stand_in(name: str, **names: Any) -> None:
    module = ModuleType(name, _Absent.__doc__)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update({"__path__": []}, **names)
    sys.modules.setdefault(name, module)


_stand_in("torchaudio")
_stand_in("torchaudio.functional")
_stand_in("torchaudio.functional.functional", _hz_to_mel=_Absent, _mel_to_hz=_Absent)
_stand_in("encodec", EncodecModel=_Absent)
_stand_in("f5_tts.model.trainer", Trainer=_Absent)
os.environ["HF_HUB_OFFLINE"] = "1"  # a missing file of a checkpoint must be an error, not a download

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of functions of torch that the packages use and that are deprecated
    from f5_tts import model
    from f5_tts.model import CFM, DiT
    from f5_tts.model.utils import convert_char_to_pinyin, get_epss_timesteps
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

__all__ = [
    "CFM",
    "DATA",
    "DiT",
    "ISTFTHead",
    "VocosBackbone",
    "convert_char_to_pinyin",
    "get_epss_timesteps",
]

DATA: Final = Path(str(model.__file__)).parents[1]
"""The folder of the package, with its configurations and its reference recordings."""
