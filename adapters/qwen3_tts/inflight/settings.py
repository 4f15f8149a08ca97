"""How much the engine takes on, and how it speaks: what its settings come to on a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from adapters import settings
from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.profiles import PROFILES, Profile
from adapters.qwen3_tts.inflight.scheduler import Limits

_FRAMES_PER_SECOND = 12.5
_SLOTS_ON_CPU, _SLOTS_ON_GPU = 4, 16


@dataclass(frozen=True)
class Settings:
    """The settings whose names begin with QWEN_ in `adapters.settings`."""

    limits: Limits
    profile: Profile
    guards: Guards
    voice_cache_bytes: int

    @classmethod
    def read(cls, device: str, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read them, with the defaults of `device`; raises `UnusableSettingError`."""
        slots = settings.QWEN_SLOTS.read(environ) or (_SLOTS_ON_CPU if device == "cpu" else _SLOTS_ON_GPU)
        return cls(
            limits=Limits(
                slots=slots,
                positions=settings.QWEN_KV_POSITIONS.read(environ),
                queue=settings.QWEN_QUEUE.read(environ),
                queue_seconds=settings.QWEN_QUEUE_SECONDS.read(environ),
                batch=slots,
            ),
            profile=PROFILES[settings.QWEN_PROFILE.read(environ)],
            guards=Guards(round(settings.QWEN_RUNAWAY_SECONDS.read(environ) * _FRAMES_PER_SECOND)),
            voice_cache_bytes=settings.QWEN_VOICE_CACHE_MB.read(environ) << 20,
        )
