"""The responses to one transcription request whose text may be sent as it is decoded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import FinishReason
from adapters.triton.responses import response_of, send_error, send_final
from adapters.triton.waiting import Wait
from tritone.contract import TranscriptionDescription
from tritone.transcript import Transcript


class TranscriptStream:
    """Send the text of one window: any number of `text` calls, then exactly one of `finish` and `fail`.

    It may be used from any one thread at a time.
    """

    def __init__(
        self,
        sender: Any,
        metrics: Metrics,
        request_id: str = "",
        *,
        on_end: Callable[[TranscriptStream], None] = lambda stream: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._metrics = metrics
        self._request_id = request_id
        self._on_end = on_end
        self._clock = clock
        self._wait = Wait(metrics, clock)

    def is_cancelled(self) -> bool:
        """Return whether the client has cancelled the request."""
        return bool(self._sender.is_cancelled())

    def wait(self) -> None:
        """Record that the request waits for a slot."""
        self._wait.begin()

    def start(self) -> None:
        """Record that work on the request begins. Later calls change nothing."""
        self._wait.start()

    def text(self, delta: str) -> None:
        """Send the next piece of the text."""
        self._sender.send(response_of({"text_delta": [[delta.encode()]]}))

    def finish(self, transcript: Transcript, *, seconds: float, reason: FinishReason) -> None:
        """End the stream with the transcript of `seconds` of audio."""
        self._metrics.finished(reason)
        self._metrics.audio(seconds)
        self._metrics.tokens(transcript.token_count)
        if self._wait.started is not None and seconds:
            self._metrics.real_time_factor((self._clock() - self._wait.started) / seconds)
        self._wait.end()
        self._on_end(self)
        send_final(self._sender, response_of(transcript.to_columns()), self._request_id)

    def describe(self, description: TranscriptionDescription) -> None:
        """End the stream with the model's description."""
        self._on_end(self)
        send_final(self._sender, response_of({"description": [[description.to_json().encode()]]}), self._request_id)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error; it is counted, and logged if it is not the client's. Never raises."""
        self._metrics.error(error)
        self._wait.end()
        self._on_end(self)
        send_error(self._sender, error, self._request_id)
