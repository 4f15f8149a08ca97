"""Changes of a client's settings by a part of their fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.openai.realtime.protocol import ClientWarning, warned
from tritone.errors import InvalidInput

_OBJECTS: Final = ("audio", "audio.input", "audio.input.format")
_MOST_WARNINGS: Final = 20
_MOST_NAME_CHARS: Final = 100

Path = tuple[int | str, ...]
"""The keys that lead to a field."""


Model = TypeVar("Model", bound=BaseModel)


def changed(
    settings: Model, changes: Mapping[str, Any], *, without_effect: Collection[str] = (), name: str = "session"
) -> tuple[Model, list[ClientWarning]]:
    """Return `settings` with the fields of `changes`, and a warning for each field that is unknown or has no effect.

    `without_effect`: the paths of known fields that have none, such as `audio.input.noise_reduction`. `name`: what the
    client calls the object. Raises `InvalidInput` with the path of a wrong value.
    """
    kept, ignored = _split(changes, frozenset(without_effect))
    warnings = [warned("no_effect", f"{name}.{path}", "it has no effect here") for path in ignored]
    merged = _merged(settings.model_dump(), kept)
    while True:
        try:
            return type(settings).model_validate(merged), _limited(warnings, name)
        except ValidationError as error:
            unknown = _unknown_fields(error, merged, name)
            merged = _without(merged, unknown)
            warnings += [warned("unknown_field", _dotted(name, path), "there is no such field") for path in unknown]


def _unknown_fields(error: ValidationError, given: Mapping[str, Any], name: str) -> list[Path]:
    """Return the paths of unknown fields in `given`. Raises `InvalidInput` for another error."""
    unknown = []
    for problem in error.errors(include_url=False, include_input=False):
        path = _without_tags(problem["loc"], given, missing=problem["type"] == "missing")
        if problem["type"] != "extra_forbidden":
            raise InvalidInput(_dotted(name, path), problem["msg"].removeprefix("Value error, "))
        unknown.append(path)
    return unknown


def _without_tags(location: Path, given: Any, *, missing: bool) -> Path:
    """Return the path of a value without the names of a union's members, which are no keys of the client's.

    `missing`: the last key is of a field that is not there.
    """
    path: list[int | str] = []
    for key in location:
        try:
            given = given[key]
        except (LookupError, TypeError):
            continue
        path.append(key)
    return (*path, location[-1]) if missing else tuple(path)


def _split(
    fields: Mapping[str, Any], without_effect: frozenset[str], prefix: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Return `fields` without those that have no effect, and the paths of the latter that have a value.

    Objects that are null, which have no null value of their own, are left out too.
    """
    kept: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in fields.items():
        path = prefix + name
        if path in without_effect:
            if value is not None:
                ignored.append(path)
        elif path in _OBJECTS and value is None:
            continue
        elif isinstance(value, dict):
            kept[name], below = _split(value, without_effect, f"{path}.")
            ignored += below
        else:
            kept[name] = value
    return kept, ignored


def _merged(old: Any, new: Any) -> Any:
    """Return `new`, with the keys that it lacks taken from `old`, unless both are objects of different types."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if (new.get("type") or old.get("type")) != old.get("type"):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


def _without(value: Any, paths: Sequence[Path]) -> Any:
    """Return an object or a list without what stands at `paths`."""
    below: dict[int | str, list[Path]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(tuple(rest))
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    kept = {
        key: _without(entry, below[key]) if key in below else entry
        for key, entry in entries
        if () not in below.get(key, [])
    }
    return kept if isinstance(value, dict) else list(kept.values())


def _limited(warnings: list[ClientWarning], name: str) -> list[ClientWarning]:
    """Return the first warnings, and the number of the others."""
    more = len(warnings) - _MOST_WARNINGS
    if more <= 0:
        return warnings
    return [*warnings[:_MOST_WARNINGS], warned("unknown_field", name, f"{more} more fields have no effect")]


def _dotted(name: str, path: Path) -> str:
    return ".".join([name, *(str(key)[:_MOST_NAME_CHARS] for key in path)])
