"""Preparation of a Python with little more than torch, to import the engine and the published package.

Stand-ins replace missing packages that are not measured: the tests' own for the module of Triton's Python backend; for
librosa, soxr, soundfile and av, which read recordings, modules without functions. Of librosa the package's encoder of
voices needs the mel filters; transformers has the same.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
_STAND_INS = {
    "librosa": ("librosa", "librosa.filters"),
    "soxr": ("soxr",),
    "soundfile": ("soundfile",),
    "av": ("av",),
}
"""Package -> the modules of it that are imported but not used here."""


def prepare(site: Path | None) -> None:
    """Put `site`, a folder of carried packages, before the Python's own, and install the stand-ins."""
    sys.path[:0] = [str(path) for path in (site, ROOT, ROOT / "tests" / "stand_ins") if path]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for package, modules in _STAND_INS.items():
        if find_spec(package) is None:
            sys.modules |= {name: _Nothing(name) for name in modules}
    if isinstance(filters := sys.modules.get("librosa.filters"), _Nothing):
        vars(filters)["mel"] = mel


def mel(*, sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None) -> NDArray[np.float32]:
    """Return the filters (n_mels, 1 + n_fft / 2) as `librosa.filters.mel` with Slaney's scale and norm."""
    from transformers.audio_utils import mel_filter_bank  # noqa: PLC0415 - slow, and only clones need it

    filters = mel_filter_bank(
        1 + n_fft // 2, n_mels, fmin, sr / 2 if fmax is None else fmax, sr, norm="slaney", mel_scale="slaney"
    )
    return np.ascontiguousarray(filters.T, np.float32)


class _Nothing(ModuleType):
    """A module with functions that all raise."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # libraries look for a spec

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(f"{self.__name__} is not installed here, and this benchmark does not need it")

        return absent
