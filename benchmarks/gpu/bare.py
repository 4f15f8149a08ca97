"""Makes a Python that has torch and little else import the engine and the published package.

Stand-ins are taken for what is missing there and not used by what is measured: for the module that Triton's Python
backend brings, the tests' own; for librosa and soundfile, which read references to clone, modules that can do nothing.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
_STAND_INS = ("librosa", "librosa.filters", "soundfile")


def prepare(site: Path | None) -> None:
    """Let `site`, a folder of carried packages, come before the Python's own, and stand in for what is missing."""
    sys.path[:0] = [str(path) for path in (site, ROOT, ROOT / "tests" / "stand_ins") if path]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in _STAND_INS:
        if name not in sys.modules and find_spec(name.partition(".")[0]) is None:
            sys.modules[name] = _Nothing(name)
    for name in _STAND_INS:  # after all are known: a module that is stood in for has no spec to look for
        parent, _, child = name.rpartition(".")
        if parent and isinstance(sys.modules.get(parent), _Nothing):
            setattr(sys.modules[parent], child, sys.modules[name])


class _Nothing(ModuleType):
    """A module whose every function says that it is not there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(f"{self.__name__} is not installed here, and this benchmark does not need it")

        return absent
