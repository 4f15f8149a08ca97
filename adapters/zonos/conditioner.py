"""The prefix of a request: vectors for each condition, and the same without the conditions, for the guidance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.zonos import vocabulary
from adapters.zonos.checkpoint import Config, Tensors, UnreadableCheckpointError

_TEXT: Final = "espeak"
_KNOWN: Final = frozenset({
    _TEXT, "speaker", "emotion", "fmax", "pitch_std", "speaking_rate", "language_id", "vqscore_8", "ctc_loss",
    "dnsmos_ovrl", "speaker_noised",
})  # fmt: skip
_UNKNOWN_TO_CALLERS: Final = frozenset({"vqscore_8", "dnsmos_ovrl"})
"""Scores of the quality of the sound. Upstream's interface leaves them out."""
USUAL_EMOTIONS: Final = (0.3077, 0.0256, 0.0256, 0.0256, 0.0256, 0.0256, 0.2564, 0.3077)
"""The weights that upstream uses where a request has none."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of one text."""

    tokens: list[int]
    """The text in phonemes."""
    language: int
    """The number of the language."""
    speaker: Tensor
    """The voice's embedding (128,)."""
    emotions: tuple[float, ...] = USUAL_EMOTIONS
    """Only their ratio counts."""
    pitch_std: float = 20.0
    """Hz."""
    speaking_rate: float = 15.0
    """Phonemes a second."""
    fmax: float = 22_050.0
    """Hz; the highest frequency of the recordings: 22.05 kHz is upstream's value for cloned voices."""

    def values(self) -> Mapping[str, Tensor]:
        """Return the numbers by the names of the conditioners; those without a value are left to the model."""
        total = math.fsum(self.emotions)
        numbers = {
            "emotion": [weight / total for weight in self.emotions],
            "fmax": [self.fmax],
            "pitch_std": [self.pitch_std],
            "speaking_rate": [self.speaking_rate],
            "ctc_loss": [0.0],
        }
        return {
            _TEXT: torch.tensor(self.tokens),
            "language_id": torch.tensor([self.language]),
            "speaker_noised": torch.tensor([0]),
            "speaker": self.speaker,
            **{name: torch.tensor(each) for name, each in numbers.items()},
        }


class _Conditioner:
    """One of config.json's conditioners: a value -> (tokens, hidden)."""

    def __init__(self, tensors: Tensors, prefix: str, entry: Mapping[str, Any], hidden: int) -> None:
        """Raises `UnreadableCheckpointError` for an unknown type or name."""
        self.name: str = entry["name"]
        self._kind: str = entry["type"]
        self._low = entry.get("min_val", 0)
        self._high = entry.get("max_val", 1.0)
        width: int = entry.get("cond_dim") or hidden
        match self._kind:
            case "EspeakPhonemeConditioner":
                self._table = tensors.take(f"{prefix}.phoneme_embedder.weight", vocabulary.SIZE, hidden)
            case "FourierConditioner":
                self._table = tensors.take(f"{prefix}.weight", hidden // 2, entry.get("input_dim", 1))
            case "IntegerConditioner":
                numbers = entry.get("max_val", 512) - self._low + 1
                self._table = tensors.take(f"{prefix}.int_embedder.weight", numbers, hidden)
            case "PassthroughConditioner":
                self._table = torch.empty(0)
            case _:
                raise UnreadableCheckpointError(f"config.json: {self._kind} is no known type of conditioner")
        self._project = Projection(tensors, f"{prefix}.project", entry.get("projection", "none"), width, hidden)
        learned = entry.get("uncond_type", "none") == "learned"
        self.without = tensors.take(f"{prefix}.uncond_vector", hidden)[None] if learned else None
        """The vector (1, hidden) of a request without this condition; None: every request has it."""
        if self.name not in _KNOWN or (self.without is None and self.name in _UNKNOWN_TO_CALLERS):
            raise UnreadableCheckpointError(f"config.json: the conditioner {self.name!r} is unknown")

    def __call__(self, value: Tensor) -> Tensor:
        table = self._table
        match self._kind:
            case "FourierConditioner":
                scaled = (value.to(table.device) - self._low) / (self._high - self._low)
                angles = 2 * torch.pi * scaled.to(table.dtype) @ table.T
                vectors = torch.cat([angles.cos(), angles.sin()], -1)[None]
            case "PassthroughConditioner":
                vectors = value[None]
            case _:
                vectors = F.embedding((value - self._low).to(table.device), table)
        return self._project(vectors)


class Projection:
    """`none`, a `linear` layer, or an `mlp` of two layers."""

    def __init__(self, tensors: Tensors, prefix: str, kind: str, inputs: int, outputs: int) -> None:
        """Raises `UnreadableCheckpointError` for another kind."""
        names = {"none": [], "linear": [prefix], "mlp": [f"{prefix}.0", f"{prefix}.2"]}.get(kind)
        if names is None:
            raise UnreadableCheckpointError(f"config.json: the projection {kind!r} is unknown")
        widths = [inputs, outputs]
        self._layers = [
            (tensors.take(f"{name}.weight", outputs, width), tensors.take(f"{name}.bias", outputs))
            for name, width in zip(names, widths, strict=False)
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """Return (..., outputs) from (..., inputs)."""
        for number, (weight, bias) in enumerate(self._layers):
            x = F.linear(F.silu(x) if number else x, weight, bias)
        return x


class PrefixConditioner:
    """All conditioners, and the projection and the norm after them."""

    def __init__(self, tensors: Tensors, config: Config) -> None:
        """Take the tensors; raises `UnreadableCheckpointError`."""
        prefix, hidden = "prefix_conditioner", config.hidden
        self._conditioners = [
            _Conditioner(tensors, f"{prefix}.conditioners.{number}", entry, hidden)
            for number, entry in enumerate(config.conditioners)
        ]
        self._project = Projection(tensors, f"{prefix}.project", config.projection, hidden, hidden)
        self._norm = tensors.take(f"{prefix}.norm.weight", hidden), tensors.take(f"{prefix}.norm.bias", hidden)
        self.names = frozenset(each.name for each in self._conditioners)
        """The names of the conditions."""
        if _TEXT not in self.names:
            raise UnreadableCheckpointError("config.json has no conditioner for the text")

    def __call__(self, conditions: Conditions) -> Tensor:
        """Return the prefix with the conditions, and the one without those that may be left out (2, tokens, hidden)."""
        values = conditions.values()
        both: tuple[list[Tensor], list[Tensor]] = [], []
        for each in self._conditioners:
            without = each.without
            given = each(values[each.name]) if each.name in values else without
            assert given is not None, "checked when the checkpoint was loaded"
            both[0].append(given)
            both[1].append(given if without is None else without)
        prefix = self._project(torch.stack([torch.cat(vectors) for vectors in both]))
        weight, bias = self._norm
        return F.layer_norm(prefix, weight.shape, weight, bias)
