"""The settings of Zonos, as `family.toml` declares them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.inflight.scheduler import Limits
from tritone.families import Family

FAMILY: Final = Family.load(Path(__file__).parent)

ZONOS_DTYPE: Final = FAMILY.text("ZONOS_DTYPE")
FRAMES_PER_SECOND: Final = 44_100 / 512
LONGEST_FRAMES: Final = 2580
"""Frames of one part of a text: 30 s, as upstream."""
LONGEST_PHONEMES: Final = 460
"""The longest part of a text."""
_POSITIONS: Final = 3072
"""The positions of a row: phonemes, the other conditions (up to 20), frames, and the columns of the delay."""


@dataclass(frozen=True)
class EngineSettings:
    """The settings of an engine."""

    limits: Limits

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> EngineSettings:
        """Read the environment; raises `UnusableSettingError`."""

        def integer(name: str) -> int:
            return FAMILY.integer(name).read(environ)

        return cls(
            Limits(
                slots=integer("ZONOS_SLOTS"),
                positions=_POSITIONS,
                queue=integer("ZONOS_QUEUE"),
                queue_seconds=integer("ZONOS_QUEUE_SECONDS"),
            )
        )
