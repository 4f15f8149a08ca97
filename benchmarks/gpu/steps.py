"""The steps of a part of the benchmark, and the options of all parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from benchmarks.gpu.rig import Rig

OTHER_MODELS: Final = ("whisper", "kokoro")
"""Parts of other models than Qwen3-TTS: their `steps` get the options, their figures have no size."""
Figures = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A measurement."""

    name: str
    seconds: float
    """Time that it may take on a large GPU. It is left out if less is left for its part."""
    work: Callable[[], Any]
    """Returns its figures, which JSON can hold."""


@dataclass(frozen=True)
class BenchOptions:
    """The options of the benchmark."""

    device: str
    """In torch's notation."""
    dtype: str
    """The measured precision, in torch's notation."""
    shapes: str
    """A size of `tools.tiny_models`: full, thin or tiny."""
    quick: bool
    """A rehearsal: few sizes, few rounds."""
    folder: Path
    """The folder for checkpoints."""
    out: Path
    """The JSON file. Other files are written next to it."""
    site: Path | None
    """The folder of carried packages."""
    faster_site: Path | None
    """The folder of the packages of faster-qwen3-tts."""

    @property
    def text(self) -> str:
        """The options as JSON, for `options_from` in another process."""
        return json.dumps(
            {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        )

    def pick(self, usual: Any, quick: Any) -> Any:
        """Return `quick` in a rehearsal, else `usual`."""
        return quick if self.quick else usual


def options_from(text: str) -> BenchOptions:
    """Read what `BenchOptions.text` wrote."""
    values = json.loads(text)
    folders = {name: Path(values[name]) for name in ("folder", "out", "site", "faster_site") if values[name]}
    return BenchOptions(**values | folders)


Part = Callable[["Rig"], Iterator[Step]]
"""Yields the steps, the most valuable first. Shared resources are open while it is iterated."""
