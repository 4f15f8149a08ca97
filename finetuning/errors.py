"""The errors of this room."""

from __future__ import annotations


class FineTuningError(Exception):
    """A fault that the user can repair. The message is one line that says what to do."""
