"""Request parameters: the declaration, checks and wire form of a request's optional part."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType, NoneType
from typing import Any, Final, Self, get_args, get_type_hints

from tritone.errors import InvalidInput

LARGEST_INT: Final = 2**63 - 1
"""Whole numbers have 64 bits on the wire."""
Value = str | bool | int | float
"""The types that a request parameter may have on the wire."""


def option(
    default: Value | None,
    *,
    unit: str = "",
    doc: str,
    group: str = "",
    absent: Callable[[str], bool] | None = None,
    to_json: Callable[[Any], str] | None = None,
) -> Any:
    """Declare a field of an `Options` class with its default and its documentation.

    `group` lets a family support several options by one word, such as `sampling`. `absent` tells whether a text stands
    for the default. `to_json` is for an option that is a JSON text: it takes this text, or the list or object that it
    stands for, and returns the text in its usual form, or raises `InvalidInput`.
    """
    metadata = {"unit": unit, "doc": doc, "group": group, "absent": absent, "to_json": to_json}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the request parameters of an interface; each field is a parameter, and the default None means not set."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Read a request's parameters; numbers may come as text, as perf_analyzer sends them.

        Raises `InvalidInput` with the parameter's name for one that is unknown, of the wrong type or out of range.
        Triton's own parameters (`triton_...`) are skipped.
        """
        types, declared = cls.types(), cls.declared()
        values = {}
        for name, value in parameters.items():
            if name.startswith("triton_"):
                continue
            if name not in types:
                raise InvalidInput(name, f"unknown parameter; choose from: {', '.join(types)}")
            absent, to_json = declared[name].metadata["absent"], declared[name].metadata["to_json"]
            if isinstance(value, str) and absent and absent(value):
                continue
            values[name] = _typed(name, value, types[name])
            if to_json and values[name]:
                values[name] = to_json(values[name])
        options = cls(**values)
        options.check()
        return options

    @classmethod
    @cache
    def declared(cls) -> Mapping[str, dataclasses.Field[Any]]:
        """Return the declaration of each parameter, in order."""
        return MappingProxyType({each.name: each for each in dataclasses.fields(cls)})

    @classmethod
    @cache
    def types(cls) -> Mapping[str, type]:
        """Return the type of each parameter, in the order of the fields; `int | None` is an int."""
        hints = get_type_hints(cls)
        alternatives = {f.name: get_args(hints[f.name]) or (hints[f.name],) for f in dataclasses.fields(cls)}
        return MappingProxyType(
            {name: next(type_ for type_ in types if type_ is not NoneType) for name, types in alternatives.items()}
        )

    @classmethod
    def groups(cls) -> dict[str, tuple[str, ...]]:
        """Return the names of the options in each group."""
        named = {f.metadata["group"] for f in dataclasses.fields(cls)} - {""}
        return {
            group: tuple(f.name for f in dataclasses.fields(cls) if f.metadata["group"] == group) for group in named
        }

    def to_parameters(self) -> dict[str, Value]:
        """Return the parameters that differ from the defaults."""
        declared = self.declared().items()
        return {name: value for name, each in declared if (value := getattr(self, name)) != each.default}

    def check(self) -> None:
        """Raise `InvalidInput` for a value out of range."""


def check_range(name: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Raise `InvalidInput` for a value outside `low` to `high`, both included; None is allowed."""
    if value is not None and not low <= value <= high:
        allowed = f"{_shown(low)} or more" if high == math.inf else f"{_shown(low)} to {_shown(high)}"
        raise InvalidInput(name, f"{_shown(value)} is out of range; choose {allowed}")


def _shown(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _typed(name: str, value: Any, type_: type) -> Value:
    """Return `value` as a parameter of this type, or raise `InvalidInput`."""
    if type_ in (int, float):
        number = _number(value, type_)
        if number is not None:
            return number
    elif type_ is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    elif isinstance(value, type_):
        assert isinstance(value, Value)
        return value
    expected = {bool: "true or false", int: "a whole number of 64 bits", float: "a finite number", str: "text"}
    raise InvalidInput(name, f"{value!r} is not {expected[type_]}")


def _number(value: Any, type_: type[int] | type[float]) -> int | float | None:
    """Return a number or its text as `type_`.

    None for any other value, for infinity, and, as an int, for a fraction and for more than 64 bits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = type_(value)
        possible = math.isfinite(number) if type_ is float else abs(number) <= LARGEST_INT
    except (ValueError, OverflowError):
        return None
    return number if possible and (isinstance(value, str) or number == value) else None
