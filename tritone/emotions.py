"""The option `emotions`: the weights of the eight emotions that Zonos knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from tritone.errors import InvalidInput

EMOTIONS: Final = ("happiness", "sadness", "disgust", "fear", "surprise", "anger", "other", "neutral")
"""The names of the emotions; a list of weights has this order."""
_MAX_CHARS: Final = 1024
"""The longest JSON text; eight names and weights take about 200."""
_FORM: Final = f"{len(EMOTIONS)} numbers from 0 to 1, or an object of such numbers by name: {', '.join(EMOTIONS)}"


def weights_of(value: Any) -> tuple[float, ...]:
    """Return the weights in the order of `EMOTIONS`; an emotion that an object does not name has the weight 0.

    `value`: a list or a mapping as JSON has them, or its text. Raises `InvalidInput` for any other value, an unknown
    name, a number of weights other than 8, a weight out of 0 to 1, and for weights that are all 0.
    """
    value = _parsed(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        weights = _by_name(value)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        weights = tuple(value)
    else:
        _reject(f"{_shown(value)} is neither a list nor an object")
    if len(weights) != len(EMOTIONS):
        _reject(f"{len(weights)} weights")
    for name, weight in zip(EMOTIONS, weights, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            _reject(f"{_shown(weight)} is no weight of {name}")
    if not any(weights):
        _reject("all weights are 0")
    return tuple(map(float, weights))


def to_json(value: Any) -> str:
    """Return the text of the option for weights in any form of `weights_of`; raises `InvalidInput`."""
    named = zip(EMOTIONS, weights_of(value), strict=True)
    return json.dumps({name: weight for name, weight in named if weight})


def _parsed(text: str) -> Any:
    if len(text) > _MAX_CHARS:
        _reject(f"has {len(text)} characters, more than {_MAX_CHARS}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        _reject("is not JSON")


def _by_name(weights: Mapping[Any, Any]) -> tuple[Any, ...]:
    by_name = {str(name).strip().lower(): weight for name, weight in weights.items()}
    for name in by_name:
        if name not in EMOTIONS:
            _reject(f"{_shown(name)} is unknown")
    return tuple(by_name.get(name, 0.0) for name in EMOTIONS)


def _shown(value: object) -> str:
    """Return a value as an error text quotes it."""
    return repr(value)[:64]


def _reject(problem: str) -> NoReturn:
    raise InvalidInput("emotions", f"{problem}; give {_FORM}")
