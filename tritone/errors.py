"""The errors that cross the wire between the gateway and the models.

TritoneError
|-- InvalidInput   the caller's fault, with the field's name   INVALID_ARGUMENT   HTTP 400
|-- Overloaded     no room now; try again                      UNAVAILABLE        HTTP 503
`-- Cancelled      the caller left                             CANCELLED          -

Everything else is our own fault: INTERNAL, HTTP 500, told to the caller in general words.

A stream carries an error as text alone, so the text itself says which it is: it begins with the field's name and a
colon, or with `overloaded:`.
"""

from __future__ import annotations

import re

_FIELD = re.compile(r"(?P<field>[a-z][a-z0-9_]*): (?P<problem>.+)", re.DOTALL)
_OVERLOADED = "overloaded"


class TritoneError(Exception):
    """Base of the errors that a caller is told about."""


class InvalidInput(TritoneError):
    """The caller's `field` (a tensor's or a parameter's name) is wrong; `problem` says how, and what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Overloaded(TritoneError):
    """The model takes no more requests at present; `problem` says how many it takes, or why none."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{_OVERLOADED}: {problem}")


class Cancelled(TritoneError):
    """The caller has gone; nobody waits for the answer."""


def from_text(text: str) -> InvalidInput | Overloaded | None:
    """The error that a model sent as `text`; None where the text is of none of ours."""
    match = _FIELD.fullmatch(text)
    if not match:
        return None
    if match["field"] == _OVERLOADED:
        return Overloaded(match["problem"])
    return InvalidInput(match["field"], match["problem"])
