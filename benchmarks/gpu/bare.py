"""Makes a Python that has torch and little else import the engine and the published package.

Stand-ins are taken for what is missing there and not used by what is measured: for the module that Triton's Python
backend brings, the tests' own; for librosa, soxr and soundfile, which read references to clone, modules that can do
nothing.
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
"""A package -> those of its modules that are imported, and not used here."""


def prepare(site: Path | None) -> None:
    """Let `site`, a folder of carried packages, come before the Python's own, and stand in for what is missing."""
    sys.path[:0] = [str(path) for path in (site, ROOT, ROOT / "tests" / "stand_ins") if path]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for package, modules in _STAND_INS.items():
        if find_spec(package) is None:
            sys.modules |= {name: _Nothing(name) for name in modules}


class _Nothing(ModuleType):
    """A module whose every function says that it is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # libraries look whether there is one

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(f"{self.__name__} is not installed here, and this benchmark does not need it")

        return absent
