"""The errors that cross the wire between the gateway and the models.

TritoneError
|-- InvalidInput     the caller's fault, with the field's name        INVALID_ARGUMENT   HTTP 400
|-- Overloaded       at capacity; try again later                     UNAVAILABLE        HTTP 503, Retry-After
|-- UnknownVoice     no voice is held under this key; send it again  NOT_FOUND          -
|-- DeadlinePassed   the request's own `timeout` has passed           CANCELLED          HTTP 504
`-- Cancelled        the caller cancelled the request                 CANCELLED          -

Any other error is a fault of the server: INTERNAL, HTTP 500. The caller gets a general message, the log the details.

A stream carries an error as text only, so the text has a form for each class: it begins with the field's name and a
colon, or with `overloaded:`, `deadline:` or `unknown_voice:`. The text of an overloaded model may end in `; try again
in N s`, N a whole number.
"""

from __future__ import annotations

import re
from typing import ClassVar

_FIELD = re.compile(r"(?P<field>[a-z][a-z0-9_]*): (?P<problem>.+)", re.DOTALL)
_OVERLOADED = "overloaded"
_DEADLINE = "deadline"
_UNKNOWN_VOICE = "unknown_voice"
_HINT = re.compile(r"(?P<problem>.+); try again in (?P<seconds>[0-9]+) s", re.DOTALL)


class TritoneError(Exception):
    """Base of the errors that are reported to the caller with their own text."""

    triton_code: ClassVar[str]
    """Triton's status."""
    reason: ClassVar[str]
    """The label `reason` of the metric that counts it."""


class InvalidInput(TritoneError):
    """The tensor or parameter `field` is invalid; `problem` describes the error and the values that are allowed."""

    triton_code, reason = "INVALID_ARG", "invalid"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Overloaded(TritoneError):
    """The model accepts no more requests at present; `problem` gives its capacity, or the reason.

    `retry_after`: estimated seconds until it accepts one; None: unknown.
    """

    triton_code, reason = "UNAVAILABLE", "overloaded"

    def __init__(self, problem: str, retry_after: int | None = None) -> None:
        hint = "" if retry_after is None else f"; try again in {retry_after} s"
        super().__init__(f"{_OVERLOADED}: {problem}{hint}")
        self.retry_after = retry_after


class UnknownVoice(TritoneError):
    """The request names a voice that the model does not hold, or not any more; `problem` says what to send.

    The model has done nothing. The gateway then sends the request again, with the voice's recording.
    """

    triton_code, reason = "NOT_FOUND", "unknown_voice"

    def __init__(self, problem: str) -> None:
        super().__init__(f"{_UNKNOWN_VOICE}: {problem}")


class DeadlinePassed(TritoneError):
    """The request did not finish within its own `timeout`; `problem` describes its state at that time."""

    triton_code, reason = "CANCELLED", "deadline"  # Triton has no code of its own for it

    def __init__(self, problem: str) -> None:
        super().__init__(f"{_DEADLINE}: {problem}")


class Cancelled(TritoneError):
    """The caller cancelled the request, or closed its connection; no response is sent."""

    triton_code, reason = "CANCELLED", "cancelled"


WIRE_ERRORS: tuple[type[TritoneError], ...] = (InvalidInput, Overloaded, UnknownVoice, DeadlinePassed, Cancelled)
"""The errors that a model sends; any other error is counted as `internal`."""


def from_text(text: str) -> InvalidInput | Overloaded | UnknownVoice | DeadlinePassed | None:
    """Return the error that a model sent as `text`; None for a text in no form of this module."""
    match = _FIELD.fullmatch(text)
    if not match:
        return None
    if match["field"] == _OVERLOADED:
        hint = _HINT.fullmatch(match["problem"])
        return Overloaded(hint["problem"], int(hint["seconds"])) if hint else Overloaded(match["problem"])
    if match["field"] == _DEADLINE:
        return DeadlinePassed(match["problem"])
    if match["field"] == _UNKNOWN_VOICE:
        return UnknownVoice(match["problem"])
    return InvalidInput(match["field"], match["problem"])
