"""Request parameters: how the optional part of a request is declared, checked and sent."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Self, get_args, get_type_hints

from tritone.errors import InvalidInput

Value = str | bool | int | float
"""What a request parameter may hold on the wire."""


def option(default: Value | None, *, unit: str = "", doc: str, followed_by: tuple[str, ...] = ()) -> Any:
    """A field of an `Options` class: the default, and what its documentation says.

    `followed_by` names the models that follow it, where not all of the interface do.
    """
    return field(default=default, metadata={"unit": unit, "doc": doc, "followed_by": followed_by})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the request parameters of an interface: each field is one parameter; a default of None: not given."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Read a request's parameters; numbers may come as text, as perf_analyzer sends them.

        Raises `InvalidInput` with the parameter's name for one that is unknown, of the wrong type or out of range.
        Parameters that Triton itself uses (`triton_...`) are passed over.
        """
        kinds = cls.kinds()
        values = {}
        for name, value in parameters.items():
            if name.startswith("triton_"):
                continue
            if name not in kinds:
                raise InvalidInput(name, f"unknown parameter; there are: {', '.join(kinds)}")
            values[name] = _typed(name, value, kinds[name])
        options = cls(**values)
        options.check()
        return options

    @classmethod
    def kinds(cls) -> dict[str, type]:
        """The type of each parameter, in the order of the fields; `int | None` is an int."""
        hints = get_type_hints(cls)
        alternatives = {f.name: get_args(hints[f.name]) or (hints[f.name],) for f in dataclasses.fields(cls)}
        return {name: next(kind for kind in kinds if kind is not NoneType) for name, kinds in alternatives.items()}

    def to_parameters(self) -> dict[str, Value]:
        """The parameters that differ from the defaults."""
        return {f.name: value for f in dataclasses.fields(self) if (value := getattr(self, f.name)) != f.default}

    def check(self) -> None:
        """Raise `InvalidInput` for a value out of range."""


def within(name: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Raise `InvalidInput` for a given value that is not within `low` and `high`, both included."""
    if value is not None and not low <= value <= high:
        right = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
        raise InvalidInput(name, f"{value:g} is out of range; choose {right}")


def _typed(name: str, value: Any, kind: type) -> Value:
    """`value` as a parameter of type `kind`, or `InvalidInput`."""
    if kind in (int, float):
        number = _number(value, kind)
        if number is not None:
            return number
    elif kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    elif isinstance(value, kind):
        assert isinstance(value, Value)
        return value
    words = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    raise InvalidInput(name, f"{value!r} is not {words[kind]}")


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    """`value`, a number or its text, as `kind`; None where it is neither, not finite, or would lose its fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and (isinstance(value, str) or number == value) else None
