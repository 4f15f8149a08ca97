"""Errors of a start."""

from __future__ import annotations


class StartError(Exception):
    """A start failed; the message is for the terminal."""
