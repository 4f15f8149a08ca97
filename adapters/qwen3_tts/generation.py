"""Sampling options of a request, in the names of a checkpoint's generation_config.json."""

from __future__ import annotations

from typing import Any

from tritone.contract import SpeechOptions


def generation_overrides(options: SpeechOptions) -> dict[str, Any]:
    """Return the entries of generation_config.json that the request overrides.

    Temperature 0 turns sampling off. Codebooks 1 to 15 follow codebook 0 in this, unless they have a temperature of
    their own.
    """
    subtalker = options.subtalker_temperature
    if options.temperature == 0 and subtalker is None:
        subtalker = 0.0
    overrides = {
        **_sampling("", "do_sample", options.temperature, options.top_k, options.top_p),
        **_sampling("subtalker_", "subtalker_dosample", subtalker, options.subtalker_top_k, options.subtalker_top_p),
        "repetition_penalty": options.repetition_penalty,
    }
    return {name: value for name, value in overrides.items() if value is not None}


def _sampling(
    prefix: str, switch: str, temperature: float | None, top_k: int | None, top_p: float | None
) -> dict[str, Any]:
    if temperature == 0:
        return {switch: False}
    overrides = {f"{prefix}temperature": temperature, f"{prefix}top_k": top_k, f"{prefix}top_p": top_p}
    return overrides | ({switch: True} if temperature else {})
