"""The addresses of images and other files that the language model's server is to read."""

from __future__ import annotations

from typing import Final

_PASSED_ON: Final = ("data:", "http://", "https://")
ADDRESS_PROBLEM: Final = "give a file as `data:image/png;base64,...`, or by its http or https address"


def is_passed_on(address: str) -> bool:
    """Return whether the language model's server gets `address`: a data URL, or one of the web.

    Some servers open anything else, `file:` or a bare path, as a file of their own machine.
    """
    return address[:8].lower().startswith(_PASSED_ON)
