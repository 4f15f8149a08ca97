"""Device, precision and attention: from the settings and the hardware."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from adapters.inflight.precision import AMPERE, choose_dtype, device_of
from adapters.qwen3_tts.settings import ATTN_IMPLEMENTATION, DTYPE
from adapters.triton.instance import Instance


@dataclass(frozen=True)
class Hardware:
    """The device of an instance."""

    device: str
    """In torch's notation: `cpu`, `cuda:0`..."""
    capability: tuple[int, int] | None
    """The GPU's compute capability; None on a CPU."""
    flash_attention: bool
    """True if flash-attn is installed."""

    @classmethod
    def of(cls, instance: Instance) -> Hardware:
        """Query torch; raises `UnusableRuntimeError` for a GPU that torch does not see."""
        flash_attention = find_spec("flash_attn") is not None
        return cls(*device_of(instance), flash_attention)


@dataclass(frozen=True)
class Runtime:
    """Device, precision and attention with which a checkpoint is loaded."""

    device: str
    dtype: str
    attention: str
    note: str = ""
    """The setting that could not be followed, and the reason; empty if all were."""

    @classmethod
    def choose(cls, hardware: Hardware, environ: Mapping[str, str] = os.environ) -> Runtime:
        """Choose by DTYPE and ATTN_IMPLEMENTATION, or by the hardware.

        Raises `UnusableRuntimeError`, or `UnusableSettingError` for an unknown value.

        flash_attention_2 is accepted on any hardware and replaced by sdpa where it cannot run: it means the fastest
        attention.
        """
        dtype = choose_dtype(hardware.capability, DTYPE.name, DTYPE.read(environ))
        requested = ATTN_IMPLEMENTATION.read(environ)
        reason = _reason_unfit(hardware, dtype)
        attention = requested or "flash_attention_2"
        if attention != "flash_attention_2" or not reason:
            return cls(hardware.device, dtype, attention)
        return cls(hardware.device, dtype, "sdpa", f"sdpa for flash_attention_2: {reason}" if requested else "")

    def __str__(self) -> str:
        return f"{self.device}, {self.dtype}, {self.attention}" + (f" ({self.note})" if self.note else "")


def _reason_unfit(hardware: Hardware, dtype: str) -> str:
    """Return the reason why flash attention cannot run; empty if it can."""
    if hardware.capability is None or hardware.capability < AMPERE:
        return "it needs a GPU from Ampere on"
    if dtype == "float32":
        return "it needs 16 bits"
    return "" if hardware.flash_attention else "flash-attn is not installed"
