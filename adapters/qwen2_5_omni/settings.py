"""The settings of Qwen2.5-Omni, as `family.toml` declares them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.inflight.scheduler import Limits
from tritone.families import Family
from tritone.settings import Setting, UnusableSettingError

FAMILY: Final = Family.load(Path(__file__).parent)

OMNI_DTYPE: Final = FAMILY.text("OMNI_DTYPE")
_LONGEST_WINDOW = 300
"""Seconds; the longest audio that the package's processor takes."""
_PREFILL_TOKENS = {"cpu": 64, "cuda": 512}


@dataclass(frozen=True)
class Defaults:
    """The values of options that a request does not set."""

    temperature: float = 0.1
    repetition_penalty: float = 1.1
    max_new_tokens: int = 8192


@dataclass(frozen=True)
class EngineSettings:
    """The settings of an engine."""

    limits: Limits
    prefill_tokens: int
    """Prompt tokens to prefill between two steps."""
    repetition_tokens: int
    window_seconds: int
    defaults: Defaults

    @classmethod
    def read(cls, device: str, environ: Mapping[str, str] = os.environ) -> EngineSettings:
        """Read the environment, for a device in torch's notation; raises `UnusableSettingError`."""

        def integer(name: str) -> int:
            return FAMILY.integer(name).read(environ)

        seconds = integer("OMNI_SEGMENT_DURATION")
        if seconds > _LONGEST_WINDOW:
            raise UnusableSettingError(f"OMNI_SEGMENT_DURATION={seconds} must be at most {_LONGEST_WINDOW}")
        return cls(
            limits=Limits(
                slots=integer("OMNI_SLOTS"),
                positions=integer("OMNI_KV_POSITIONS"),
                queue=integer("OMNI_QUEUE"),
                queue_seconds=integer("OMNI_QUEUE_SECONDS"),
            ),
            prefill_tokens=integer("OMNI_PREFILL_TOKENS") or _PREFILL_TOKENS[device.partition(":")[0]],
            repetition_tokens=integer("OMNI_REPETITION_TOKENS"),
            window_seconds=seconds,
            defaults=Defaults(
                temperature=_number(FAMILY.text("OMNI_TEMPERATURE"), environ, 0, 1),
                repetition_penalty=_number(FAMILY.text("OMNI_REPETITION_PENALTY"), environ, 0.5, 2),
                max_new_tokens=integer("OMNI_MAX_NEW_TOKENS"),
            ),
        )


def _number(setting: Setting[str], environ: Mapping[str, str], low: float, high: float) -> float:
    """Return a setting that is a decimal number."""
    text = setting.read(environ)
    try:
        number = float(text)
    except ValueError:
        number = high + 1
    if not low <= number <= high:
        raise UnusableSettingError(f"{setting.name}={text} must be a number from {low:g} to {high:g}")
    return number
