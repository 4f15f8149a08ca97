"""The parts of an interface: its tensors, its options and the form of its responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tritone.options import Options

DataType = Literal["BYTES", "FP32", "INT16", "INT32"]


@dataclass(frozen=True)
class Tensor:
    """A named tensor; `shape` has no batch dimension, -1 is any length."""

    name: str
    dtype: DataType
    shape: tuple[int, ...]
    unit: str
    doc: str
    optional: bool = False
    """An input that a request may leave out."""


@dataclass(frozen=True)
class Interface:
    """The inputs, options and outputs of one kind of model."""

    inputs: tuple[Tensor, ...]
    options: type[Options]
    outputs: tuple[Tensor, ...]
    final_outputs: tuple[Tensor, ...] = ()
    """Outputs of the last response of a stream only."""
    decoupled: bool = True
    """True: a request gets a stream of responses; False: exactly one response."""
