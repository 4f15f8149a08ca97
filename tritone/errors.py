"""The errors that cross the wire between the gateway and the models.

TritoneError
|-- InvalidInput   the caller's fault, with the field's name   INVALID_ARGUMENT   HTTP 400
|-- Overloaded     no room now; try again                      UNAVAILABLE        HTTP 503
`-- Cancelled      the caller left                             CANCELLED          -

Everything else is our own fault: INTERNAL, HTTP 500, told to the caller in general words.
"""

from __future__ import annotations

import re

_FIELD = re.compile(r"(?P<field>[a-z][a-z0-9_]*): (?P<problem>.+)", re.DOTALL)


class TritoneError(Exception):
    """Base of the errors that a caller is told about."""


class InvalidInput(TritoneError):
    """The caller's `field` (a tensor's or a parameter's name) is wrong; `problem` says how, and what would be right."""

    def __init__(self, field: str | None, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem

    @classmethod
    def from_message(cls, message: str) -> InvalidInput:
        """Undo `str()`, as the gateway must after the error has crossed gRPC as text."""
        match = _FIELD.fullmatch(message)
        return cls(match["field"], match["problem"]) if match else cls(None, message)


class Overloaded(TritoneError):
    """The model takes no more requests at present."""


class Cancelled(TritoneError):
    """The caller has gone; nobody waits for the answer."""
