"""The engine of a speech model: the part that a family implements, or takes from `adapters.speech`."""

from __future__ import annotations

from typing import Protocol

from adapters.triton.errors import shutting_down
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription
from tritone.errors import Overloaded


class SpeechEngine(Protocol):
    """Synthesize requests on threads of its own."""

    description: SpeechDescription

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        """Accept a request and return soon; the engine ends `stream` later, in every case.

        Raises `InvalidInput` or `Overloaded` for a request that it rejects, and then leaves the stream alone.
        """

    def close(self) -> None:
        """Accept no more requests, fail the open ones, and return once no thread runs."""


def check_capacity(open_requests: int, max_requests: int, *, closing: bool) -> None:
    """Raise `Overloaded` in an engine that is closing, or that has `max_requests` open."""
    if closing:
        raise shutting_down()
    if open_requests >= max_requests:
        raise Overloaded(f"at capacity ({max_requests} requests); try again in a moment")
