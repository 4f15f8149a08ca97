"""Files inside a text field: base64, alone or in a data URL."""

from __future__ import annotations

import base64


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
