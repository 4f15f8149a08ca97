"""The engine's settings, and their defaults for a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.inflight.scheduler import Limits
from adapters.qwen3_tts import settings
from adapters.qwen3_tts.frames import FRAMES_PER_SECOND
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES, ChunkSchedule

_PREFILL_ON_CPU, _PREFILL_ON_GPU = 32, 256
"""Prompt tokens that take about as long as a frame: on a CPU measured with one thread; on a GPU the largest chunk that
goes through the layers at once."""


@dataclass(frozen=True)
class EngineSettings:
    """The settings in `adapters.qwen3_tts.settings` with names that begin with QWEN_."""

    limits: Limits
    chunk_schedule: ChunkSchedule
    runaway_frames: int
    """Frames of silence or repetition that end a stream; 0: never."""
    voice_cache_bytes: int
    prefill_tokens: int
    """Prompt tokens to prefill between two frames."""
    graphs: bool
    """Use CUDA graphs if the device has them."""

    @classmethod
    def read(cls, device: str, environ: Mapping[str, str] = os.environ) -> EngineSettings:
        """Read the settings, with the defaults of `device`; raises `UnusableSettingError`."""
        on_cpu = device == "cpu"
        engine = settings.FAMILY.slot_engine
        assert engine, "family.toml describes it"
        prefill_tokens = settings.QWEN_PREFILL_TOKENS.read(environ)
        return cls(
            limits=Limits(
                slots=settings.QWEN_SLOTS.read(environ) or (engine.least_slots if on_cpu else engine.most_slots),
                positions=settings.QWEN_KV_POSITIONS.read(environ),
                queue=settings.QWEN_QUEUE.read(environ),
                queue_seconds=settings.QWEN_QUEUE_SECONDS.read(environ),
            ),
            chunk_schedule=CHUNK_SCHEDULES[settings.QWEN_PROFILE.read(environ)],
            runaway_frames=round(settings.QWEN_RUNAWAY_SECONDS.read(environ) * FRAMES_PER_SECOND),
            voice_cache_bytes=settings.QWEN_VOICE_CACHE_MB.read(environ) << 20,
            prefill_tokens=prefill_tokens or (_PREFILL_ON_CPU if on_cpu else _PREFILL_ON_GPU),
            graphs=settings.QWEN_GRAPHS.read(environ) == "auto",
        )
