"""JSON that a client sent."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json

DEFAULT_MAX_BYTES: Final = 16 * 1024 * 1024


class MalformedJson(ValueError):
    """The text is not JSON, or over a limit; the message says what is wrong and where, and quotes none of it."""


def parse(text: bytes | str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Any:
    """Return the value of a JSON text of at most `max_bytes` bytes.

    Raises `MalformedJson`, also for more than 200 nested values, NaN and Infinity, integers of over 4300 digits,
    halves of surrogate pairs and bytes that are not UTF-8. A decimal beyond the range of a double is read as infinite:
    bound numbers where they are used.
    """
    # A character takes a byte at least, so a long text need not be encoded to be rejected.
    if len(text) > max_bytes:
        raise MalformedJson(f"it is over {max_bytes} bytes")
    try:
        content = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise MalformedJson("it holds half of a surrogate pair, which is no character") from None
    if len(content) > max_bytes:
        raise MalformedJson(f"it is over {max_bytes} bytes")
    try:
        return from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJson(f"it is not JSON: {error}") from None


def parse_object(text: bytes | str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> dict[str, Any]:
    """Return the fields of a JSON object. Raises `MalformedJson` as `parse`, and for any other value."""
    value = parse(text, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise MalformedJson("it is not a JSON object")
    return value
