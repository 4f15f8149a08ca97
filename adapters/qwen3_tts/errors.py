"""Errors that both engines report in the same words."""

from __future__ import annotations

from tritone.errors import Cancelled, Overloaded


def shutting_down() -> Overloaded:
    """Return the error of requests that are open, or arrive, while the model is unloaded."""
    return Overloaded("the model is shutting down; try another server")


def client_cancelled() -> Cancelled:
    """Return the error of requests that the client has cancelled."""
    return Cancelled("the client has cancelled the request")
