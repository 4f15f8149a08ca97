"""The device and the precision of a model in torch."""

from __future__ import annotations

import torch

from adapters.triton.instance import Instance

Capability = tuple[int, int]
"""A GPU's compute capability."""

_VOLTA, AMPERE = (7, 0), (8, 0)


class UnusableRuntimeError(Exception):
    """The settings need something that this machine cannot do. The message names what it can do."""


def device_of(instance: Instance) -> tuple[str, Capability | None]:
    """Return an instance's device in torch's notation (`cpu`, `cuda:0`...), and the GPU's capability, None on a CPU.

    Raises `UnusableRuntimeError` for a GPU that torch does not see.
    """
    if instance.device == "cpu":
        return "cpu", None
    if instance.device_index >= torch.cuda.device_count():
        raise UnusableRuntimeError(
            f"torch {torch.__version__} does not see GPU {instance.device_index}: check the driver, or DEVICE=cpu"
        )
    return f"cuda:{instance.device_index}", torch.cuda.get_device_capability(instance.device_index)


def choose_dtype(capability: Capability | None, setting: str, value: str) -> str:
    """Return the precision that a setting's value asks for, or the hardware's best for an empty value.

    Raises `UnusableRuntimeError` for one that the hardware does not have.
    """
    if capability is None:
        if value == "float16":
            raise UnusableRuntimeError(f"{setting}=float16 needs a GPU; on a CPU choose float32 or bfloat16")
        return value or "float32"
    if capability < _VOLTA:
        generation = ".".join(map(str, capability))
        raise UnusableRuntimeError(f"GPUs of compute capability {generation} are too old (7.0 is needed): DEVICE=cpu")
    if capability < AMPERE and value == "bfloat16":
        raise UnusableRuntimeError(f"{setting}=bfloat16 needs a GPU from Ampere on; choose float16")
    return value or ("bfloat16" if capability >= AMPERE else "float16")
