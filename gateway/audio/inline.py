"""Files inside a text field: base64, alone or in a data URL."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

_UNIT: Final = 6
"""Bytes: base64 encodes three together, and a sample of PCM has two."""


def from_base64(text: str) -> bytes:
    """Return the bytes of a base64 text, which may be in lines and lack its padding; raises `ValueError`."""
    packed = text.encode("ascii").translate(None, b" \t\r\n")
    return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)


def is_data_url(text: str) -> bool:
    """Return whether `text` is a data URL."""
    return text[:5].lower() == "data:"


def from_data_url(url: str) -> bytes:
    """Return the bytes of a data URL in base64; raises `ValueError` for another one."""
    form, _, data = url.partition(",")
    if not form.lower().endswith(";base64"):
        raise ValueError("a data URL must be in base64, as `data:audio/wav;base64,...`")
    return from_base64(data)


async def in_base64(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[str]:
    """Yield a file that comes in pieces as base64, none of it empty.

    The parts can be decoded one by one or joined, and hold whole samples of 16 bits, but for the last.
    """
    rest = b""
    async with aclosing(pieces):
        async for piece in pieces:
            joined = rest + piece
            even = len(joined) - len(joined) % _UNIT
            rest = joined[even:]
            if even:
                yield base64.b64encode(joined[:even]).decode()
    if rest:
        yield base64.b64encode(rest).decode()
