"""Fields of a client's events that no such event has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from gateway.openai.realtime.protocol import ClientWarning, warned
from tritone.errors import InvalidInput

_OF_ALL: Final = frozenset({"type", "event_id"})
_MOST_NAMED: Final = 50
_MOST_NAME_CHARS: Final = 100


class UnknownFields:
    """Names each unknown field of a session's events once: audio comes in many events."""

    def __init__(self, known: Mapping[str, Collection[str]]) -> None:
        """`known`: the type of an event -> its fields, beside `type` and `event_id`."""
        self._known = known
        self._named: set[tuple[str, str]] = set()

    def warnings(self, type_: str, given: Mapping[str, Any]) -> list[ClientWarning]:
        """Return a warning for each field of an event that was not named before."""
        found = []
        for name in given.keys() - _OF_ALL - set(self._known[type_]):
            field = type_, name[:_MOST_NAME_CHARS]
            if field not in self._named and len(self._named) < _MOST_NAMED:
                self._named.add(field)
                found.append(warned("unknown_field", field[1], f"{type_} has no such field"))
        return found


def event_id_of(given: Mapping[str, Any]) -> str | None:
    """Return the client's own id of an event. Raises `InvalidInput` if it is no text."""
    id_ = given.get("event_id")
    if id_ is not None and not isinstance(id_, str):
        raise InvalidInput("event_id", "it is not a text")
    return id_
