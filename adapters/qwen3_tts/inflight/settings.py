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
_PREFILL_ON_CPU, _PREFILL_ON_GPU = 32, 256
"""Prompt tokens that are read in about the time of a frame: on a CPU measured with one thread; on a GPU the largest
piece that goes through the layers at once."""


@dataclass(frozen=True)
class Settings:
    """The settings whose names begin with QWEN_ in `adapters.settings`."""

    limits: Limits
    profile: Profile
    guards: Guards
    voice_cache_bytes: int
    prefill_tokens: int
    """Prompt tokens that are read between two frames."""
    graphs: bool
    """Whether CUDA graphs are wanted."""

    @classmethod
    def read(cls, device: str, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read them, with the defaults of `device`; raises `UnusableSettingError`."""
        on_cpu = device == "cpu"
        slots = settings.QWEN_SLOTS.read(environ) or (_SLOTS_ON_CPU if on_cpu else _SLOTS_ON_GPU)
        prefill_tokens = settings.QWEN_PREFILL_TOKENS.read(environ)
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
            prefill_tokens=prefill_tokens or (_PREFILL_ON_CPU if on_cpu else _PREFILL_ON_GPU),
            graphs=settings.QWEN_GRAPHS.read(environ) == "auto",
        )
