"""How codes are drawn: the reference's processors in its order, and noise that depends on nothing but the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """One request's parameters, with the reference's defaults."""

    do_sample: bool = True
    temperature: float = 0.9
    top_k: int = 50
    """0: all."""
    top_p: float = 1.0
    repetition_penalty: float = 1.05
    min_new_tokens: int = 2
    subtalker_dosample: bool = True
    subtalker_temperature: float = 0.9
    subtalker_top_k: int = 50
    subtalker_top_p: float = 1.0
    seed: int = 0
    """Any integer; equal seeds and parameters give equal codes, whoever else is served."""

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> Sampling:
        """Parameters by name, later layers over earlier ones; what is None or no parameter is passed over."""
        raise NotImplementedError
