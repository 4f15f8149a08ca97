"""The settings of F5-TTS, as `family.toml` declares them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.inflight.scheduler import Limits
from tritone.families import Family
from tritone.settings import UnusableSettingError

FAMILY: Final = Family.load(Path(__file__).parent)

F5_DTYPE: Final = FAMILY.text("F5_DTYPE")
_MOST_STEPS, _MOST_GUIDANCE = 128, 10.0
_BATCH_FRAMES = {"cpu": 1024, "cuda": 32768}
_SLOTS = {"cpu": 4, "cuda": 16}


@dataclass(frozen=True)
class EngineSettings:
    """The settings of an engine."""

    limits: Limits
    batch_frames: int
    """The most frames of one batch, padding included."""
    steps: int
    """The ODE steps of a request that names no number."""
    guidance: float
    """The guidance of a request that names none."""
    normalize: bool
    """True if numbers, dates and other signs are written as words."""

    @classmethod
    def read(cls, device: str, environ: Mapping[str, str] = os.environ) -> EngineSettings:
        """Read the environment, for a device in torch's notation; raises `UnusableSettingError`."""

        def integer(name: str) -> int:
            return FAMILY.integer(name).read(environ)

        kind = device.partition(":")[0]
        steps = integer("F5_NFE_STEP")
        if steps > _MOST_STEPS:
            raise UnusableSettingError(f"F5_NFE_STEP={steps} must be at most {_MOST_STEPS}")
        return cls(
            limits=Limits(
                slots=integer("F5_SLOTS") or _SLOTS[kind],
                positions=1,  # no memory is set aside for a slot
                queue=integer("F5_QUEUE"),
                queue_seconds=integer("F5_QUEUE_SECONDS"),
            ),
            batch_frames=integer("F5_BATCH_FRAMES") or _BATCH_FRAMES[kind],
            steps=steps,
            guidance=_guidance(FAMILY.text("F5_CFG_STRENGTH").read(environ)),
            normalize=FAMILY.text("F5_TEXT_NORMALIZATION").read(environ) == "on",
        )


def _guidance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= _MOST_GUIDANCE:
        raise UnusableSettingError(f"F5_CFG_STRENGTH={text} must be a number from 0 to {_MOST_GUIDANCE:g}")
    return number
