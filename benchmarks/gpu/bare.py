"""Preparation of a Python with little more than torch, to import the engine and the published package.

Stand-ins replace missing packages that are not measured: the tests' own for the module of Triton's Python backend; for
librosa, soxr and soundfile, which read references of voices, modules without functions.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
_STAND_INS = {"librosa": ("librosa", "librosa.filters"), "soxr": ("soxr",), "soundfile": ("soundfile",)}
"""Package -> the modules of it that are imported but not used here."""


def prepare(site: Path | None) -> None:
    """Put `site`, a folder of carried packages, before the Python's own, and install the stand-ins."""
    sys.path[:0] = [str(path) for path in (site, ROOT, ROOT / "tests" / "stand_ins") if path]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for package, modules in _STAND_INS.items():
        if find_spec(package) is None:
            sys.modules |= {name: _Nothing(name) for name in modules}


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
