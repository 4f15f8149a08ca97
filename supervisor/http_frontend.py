"""Triton's HTTP frontend: which servers are safe to open it on, and the address that it listens on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Choice = Literal["auto", "true", "false"]
Version = tuple[int, int, int]

EMBEDDED: Version = (2, 51, 0)
"""The server in the wheel nvidia-pytriton 0.7.0; release 24.10."""
MENDED: Version = (2, 59, 1)
"""The first server without the fault, release 25.07: NVIDIA's bulletin 5687 names the release."""
FAULT = "CVE-2025-23310, CVE-2025-23311"
"""A POST of a million one-byte chunks overflows the stack of a server older than `MENDED`."""
LOOPBACK = "127.0.0.1"

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def server_version(installed: Path | None) -> Version | None:
    """Return the version of the server in the folder `installed`, or of the embedded one; None where it is unknown.

    The server has no option that prints it. NVIDIA's containers have a file TRITON_VERSION, such as `2.59.1`.
    """
    if installed is None:
        return EMBEDDED
    try:
        found = _VERSION.match((installed / "TRITON_VERSION").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def is_vulnerable(version: Version | None) -> bool:
    """Return whether one HTTP request can end this server; an unknown version counts as vulnerable."""
    return version is None or version < MENDED


def http_address(choice: Choice, host: str, version: Version | None) -> str | None:
    """Return the address that the HTTP frontend listens on, None where it is off."""
    if choice == "false" or (choice == "auto" and is_vulnerable(version)):
        return None
    return LOOPBACK if is_vulnerable(version) else host


def warning(version: Version | None) -> str:
    """Return the line for an operator who opens the HTTP frontend of a vulnerable server."""
    return (
        f"warning: TRITON_HTTP=true: one HTTP request can end {_name(version)} ({FAULT}): "
        f"its HTTP port listens on {LOOPBACK} alone"
    )


def exposure(variables: Mapping[str, str], version: Version | None) -> str | None:
    """Return why a start would open a frontend with the fault on every address, None where it would not."""
    if is_vulnerable(version) and variables.get("AIP_MODE") == "PREDICTION":
        # Triton reads this variable itself, and its Vertex AI frontend has no option for an address.
        return (
            f"AIP_MODE=PREDICTION makes Triton open its Vertex AI port on every address, and one HTTP request can end "
            f"{_name(version)} ({FAULT}): unset AIP_MODE, or use Triton {_text(MENDED)} (25.07) or newer"
        )
    return None


def _name(version: Version | None) -> str:
    return f"Triton {_text(version)}" if version else "a Triton of unknown version"


def _text(version: Version) -> str:
    return ".".join(map(str, version))
