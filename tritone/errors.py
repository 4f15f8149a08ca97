"""The errors that cross the wire between the gateway and the models.

TritoneError
|-- InvalidInput     the caller's fault, with the field's name        INVALID_ARGUMENT   HTTP 400
|-- Overloaded       no room now; try again, with a hint when         UNAVAILABLE        HTTP 503, Retry-After
|-- DeadlinePassed   the request's own `timeout` has run out          CANCELLED          HTTP 504
`-- Cancelled        the caller left                                  CANCELLED          -

Everything else is our own fault: INTERNAL, HTTP 500, told to the caller in general words.

A stream carries an error as text alone, so the text itself says which it is: it begins with the field's name and a
colon, or with `overloaded:` or `deadline:`. Where it is known when room will be, an overloaded model's text ends in
`; try again in N s`, N a whole number.
"""

from __future__ import annotations

import re

_FIELD = re.compile(r"(?P<field>[a-z][a-z0-9_]*): (?P<problem>.+)", re.DOTALL)
_OVERLOADED = "overloaded"
_DEADLINE = "deadline"
_HINT = re.compile(r"(?P<problem>.+); try again in (?P<seconds>[0-9]+) s", re.DOTALL)


class TritoneError(Exception):
    """Base of the errors that a caller is told about."""


class InvalidInput(TritoneError):
    """The caller's `field` (a tensor's or a parameter's name) is wrong; `problem` says how, and what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Overloaded(TritoneError):
    """The model takes no more requests at present; `problem` says how many it takes, or why none.

    `retry_after`: after how many seconds there may be room; None: nobody knows.
    """

    def __init__(self, problem: str, retry_after: int | None = None) -> None:
        hint = "" if retry_after is None else f"; try again in {retry_after} s"
        super().__init__(f"{_OVERLOADED}: {problem}{hint}")
        self.retry_after = retry_after


class DeadlinePassed(TritoneError):
    """The time that the caller gave its request is over, and it is not done; `problem` says how far it came."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{_DEADLINE}: {problem}")


class Cancelled(TritoneError):
    """The caller has gone; nobody waits for the answer."""


def from_text(text: str) -> InvalidInput | Overloaded | DeadlinePassed | None:
    """The error that a model sent as `text`; None where the text is of none of ours."""
    match = _FIELD.fullmatch(text)
    if not match:
        return None
    if match["field"] == _OVERLOADED:
        hint = _HINT.fullmatch(match["problem"])
        return Overloaded(hint["problem"], int(hint["seconds"])) if hint else Overloaded(match["problem"])
    if match["field"] == _DEADLINE:
        return DeadlinePassed(match["problem"])
    return InvalidInput(match["field"], match["problem"])
