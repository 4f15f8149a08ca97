"""The wish that a model be loaded: a file beside the served document, touched by a stub, watched by the supervisor."""

from __future__ import annotations

from pathlib import Path


def want(document: Path, model: str) -> None:
    """Record that `model`, an id of the served document in the file `document`, is in use or will be now."""
    _file(document, model).touch()


def last_wanted(document: Path, model: str) -> int:
    """Return the time of the last `want`, in the file system's nanoseconds; 0 if there was none."""
    try:
        return _file(document, model).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _file(document: Path, model: str) -> Path:
    return document.with_name(f"{model}.wanted")
