"""Device, precision and attention: what the settings ask for, as far as the hardware can."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from adapters.settings import ATTN_IMPLEMENTATION, DTYPE
from adapters.triton.instance import Instance

_VOLTA, _AMPERE = (7, 0), (8, 0)


class UnusableRuntimeError(Exception):
    """The settings ask for what this machine cannot do; the message says what it can."""


@dataclass(frozen=True)
class Hardware:
    """Where an instance runs."""

    device: str
    """As torch names it: `cpu`, `cuda:0`..."""
    capability: tuple[int, int] | None
    """The GPU's compute capability; None on a CPU."""
    flash_attention: bool
    """Whether flash-attn is installed."""

    @classmethod
    def of(cls, instance: Instance) -> Hardware:
        """Ask torch; raises `UnusableRuntimeError` for a GPU that it does not see."""
        flash_attention = find_spec("flash_attn") is not None
        if instance.device == "cpu":
            return cls("cpu", None, flash_attention)
        if instance.device_index >= torch.cuda.device_count():
            raise UnusableRuntimeError(
                f"GPU {instance.device_index} is not seen by torch {torch.__version__}: check the driver, or DEVICE=cpu"
            )
        return cls(
            f"cuda:{instance.device_index}", torch.cuda.get_device_capability(instance.device_index), flash_attention
        )


@dataclass(frozen=True)
class Runtime:
    """How a checkpoint is loaded."""

    device: str
    dtype: str
    attention: str
    note: str = ""
    """What was asked for and could not be had."""

    @classmethod
    def choose(cls, hardware: Hardware, environ: Mapping[str, str] = os.environ) -> Runtime:
        """DTYPE and ATTN_IMPLEMENTATION, or what suits the hardware.

        Raises `UnusableRuntimeError`, or `UnusableSettingError` for an unknown word.

        flash_attention_2 is taken everywhere, and gives way to sdpa where it cannot run: its users mean the fastest.
        """
        dtype = _dtype(hardware.capability, DTYPE.read(environ))
        asked = ATTN_IMPLEMENTATION.read(environ)
        hindrance = _hindrance(hardware, dtype)
        attention = asked or "flash_attention_2"
        if attention != "flash_attention_2" or not hindrance:
            return cls(hardware.device, dtype, attention)
        return cls(hardware.device, dtype, "sdpa", f"sdpa for flash_attention_2: {hindrance}" if asked else "")

    def __str__(self) -> str:
        return f"{self.device}, {self.dtype}, {self.attention}" + (f" ({self.note})" if self.note else "")


def _dtype(capability: tuple[int, int] | None, asked: str) -> str:
    if capability is None:
        if asked == "float16":
            raise UnusableRuntimeError("DTYPE=float16 needs a GPU; on a CPU choose float32 or bfloat16")
        return asked or "float32"
    if capability < _VOLTA:
        generation = ".".join(map(str, capability))
        raise UnusableRuntimeError(f"GPUs of compute capability {generation} are too old (7.0 is needed): DEVICE=cpu")
    if capability < _AMPERE and asked == "bfloat16":
        raise UnusableRuntimeError("DTYPE=bfloat16 needs a GPU from Ampere on; choose float16")
    return asked or ("bfloat16" if capability >= _AMPERE else "float16")


def _hindrance(hardware: Hardware, dtype: str) -> str:
    """Why flash attention cannot run; nothing if it can."""
    if hardware.capability is None or hardware.capability < _AMPERE:
        return "it needs a GPU from Ampere on"
    if dtype == "float32":
        return "it needs 16 bits"
    return "" if hardware.flash_attention else "flash-attn is not installed"
