"""The field `chunking_strategy`: `auto`, or an object in JSON or in one form field for each of its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from gateway import untrusted_json
from tritone.windowing import DEFAULT_VAD, VadOptions

NAME: Final = "chunking_strategy"
_KEY: Final = re.compile(rf"{NAME}\[(\w+)]")


class ServerVad(BaseModel):
    """`chunking_strategy` with options of the voice activity detector; defaults are those of `auto`."""

    type: Literal["server_vad"]
    threshold: float = Field(DEFAULT_VAD.threshold, gt=0, lt=1, description="Probability at which speech begins.")
    prefix_padding_ms: int = Field(
        round(DEFAULT_VAD.pad_before * 1000), ge=0, le=5000, description="Audio that is kept before speech."
    )
    silence_duration_ms: int = Field(
        round(DEFAULT_VAD.pause * 1000), ge=0, le=10_000, description="The shortest silence that the audio is cut at."
    )

    def options(self) -> VadOptions:
        """Return the options of the use case."""
        return VadOptions(self.threshold, self.prefix_padding_ms / 1000, self.silence_duration_ms / 1000)


def is_key(name: str) -> bool:
    """Return whether a form field is a key of the strategy, as `chunking_strategy[threshold]`."""
    match = _KEY.fullmatch(name)
    return match is not None and match[1] in ServerVad.model_fields


def gathered(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a form's fields with the keys of the strategy as one object, which the official clients send apart."""
    keys = {match[1]: value for name, value in fields.items() if (match := _KEY.fullmatch(name))}
    return {**fields, NAME: keys} if keys else fields


def parsed(strategy: Any) -> Any:
    """Return the value of the field; raises `ValueError`."""
    if isinstance(strategy, str) and strategy.startswith("{"):
        strategy = untrusted_json.parse_object(strategy)
    if isinstance(strategy, dict):
        # Validated separately: a union's errors name every branch that did not fit.
        return ServerVad.model_validate(strategy)
    if strategy != "auto":
        raise ValueError("choose `auto`, or an object of type `server_vad`")
    return strategy
