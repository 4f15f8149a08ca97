"""Sampling parameters of a request, with the published model's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from adapters.qwen3_tts.generation import generation_overrides
from tritone.contract import SpeechOptions


class LogitsParams(NamedTuple):
    """Parameters that turn the scores of one row into a distribution."""

    do_sample: bool
    """False: take the best code. The other parameters then have no effect."""
    temperature: float
    top_k: int
    """The number of best codes to keep, plus those that tie with the last one; 0: keep all."""
    top_p: float


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of one request. The names are those of generation_config.json."""

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
    """Any integer. Equal seeds and parameters give equal codes, whatever else is in the batch."""

    @classmethod
    def from_options(cls, generation: Mapping[str, Any], options: SpeechOptions, *, seed: int) -> SamplingParams:
        """Combine a checkpoint's generation_config.json with a request's options, which take precedence."""
        known = {field.name for field in fields(cls)}
        values = {**generation, **generation_overrides(options), "seed": seed}
        return cls(**{name: value for name, value in values.items() if name in known and value is not None})

    @property
    def talker(self) -> LogitsParams:
        """Parameters for codebook 0."""
        return LogitsParams(self.do_sample, self.temperature, self.top_k, self.top_p)

    @property
    def predictor(self) -> LogitsParams:
        """Parameters for codebooks 1 to 15."""
        return LogitsParams(
            self.subtalker_dosample, self.subtalker_temperature, self.subtalker_top_k, self.subtalker_top_p
        )
