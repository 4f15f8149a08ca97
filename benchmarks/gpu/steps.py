"""What a part of the benchmark consists of, and what all parts are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.gpu.rig import Rig

Figures = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A measurement."""

    name: str
    seconds: float
    """That it may take on a large GPU; where less is left of its part's time, it is left out."""
    work: Callable[[], Any]
    """Gives its figures, which JSON can hold."""


@dataclass(frozen=True)
class Options:
    """How the benchmark is run."""

    device: str
    """As torch names it."""
    dtype: str
    """Likewise, the precision that is measured."""
    shapes: str
    """Of `tools.tiny_models`: full, thin or tiny."""
    quick: bool
    """A rehearsal: few sizes, few rounds."""
    folder: Path
    """For checkpoints."""
    out: Path
    """The JSON file; what else is written stands beside it."""
    site: Path | None
    """Carried packages."""
    faster_site: Path | None
    """Those that faster-qwen3-tts runs with."""

    @property
    def text(self) -> str:
        """For `options_from`, in another process."""
        return json.dumps(
            {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        )

    def pick(self, usual: Any, quick: Any) -> Any:
        """One of two, by `quick`."""
        return quick if self.quick else usual


def options_from(text: str) -> Options:
    """What `Options.text` wrote."""
    told = json.loads(text)
    folders = {name: Path(told[name]) for name in ("folder", "out", "site", "faster_site") if told[name]}
    return Options(**told | folders)


Part = Callable[["Rig"], Iterator[Step]]
"""Yields the steps, in the order of their value; what they share is open while it is iterated."""
