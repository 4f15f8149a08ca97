"""The engine's settings: environment variables of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.profiles import PROFILES, Profile
from adapters.qwen3_tts.inflight.scheduler import Limits

_FRAMES_PER_SECOND = 12.5


class UnusableSettingError(ValueError):
    """A setting has a value that it cannot have; the message says which it can."""


@dataclass(frozen=True)
class Settings:
    """How much the engine takes on, and how it speaks.

    QWEN_SLOTS (4 on a CPU, 16 on a GPU): streams spoken at once. QWEN_KV_POSITIONS (6144): what a slot holds, in prompt
    tokens and frames of 80 ms; a position takes 112 KiB in 16 bits. QWEN_QUEUE (16): requests that may wait for a slot,
    QWEN_QUEUE_SECONDS (30): and for how long. QWEN_PROFILE (latency): how soon a stream sounds against how little it
    costs; latency, balanced or throughput. QWEN_RUNAWAY_SECONDS (8): silence or repetition after which speech is ended;
    0: never. QWEN_VOICE_CACHE_MB (256): memory for cloned voices.
    """

    limits: Limits
    profile: Profile
    guards: Guards
    voice_cache_bytes: int

    @classmethod
    def read(cls, device: str, environ: Mapping[str, str]) -> Settings:
        """Read them, with the defaults of `device`; raises `UnusableSettingError`."""
        slots = _number(environ, "QWEN_SLOTS", 4 if device == "cpu" else 16, least=1)
        profile = environ.get("QWEN_PROFILE") or "latency"
        if profile not in PROFILES:
            raise UnusableSettingError(f"QWEN_PROFILE={profile}: choose from {', '.join(PROFILES)}")
        return cls(
            limits=Limits(
                slots=slots,
                positions=_number(environ, "QWEN_KV_POSITIONS", 6144, least=64),
                queue=_number(environ, "QWEN_QUEUE", 16),
                queue_seconds=_number(environ, "QWEN_QUEUE_SECONDS", 30),
                batch=slots,
            ),
            profile=PROFILES[profile],
            guards=Guards(round(_number(environ, "QWEN_RUNAWAY_SECONDS", 8) * _FRAMES_PER_SECOND)),
            voice_cache_bytes=_number(environ, "QWEN_VOICE_CACHE_MB", 256) << 20,
        )


def _number(environ: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise UnusableSettingError(f"{name}={text}: give a whole number, {least} or more")
    return int(text)
