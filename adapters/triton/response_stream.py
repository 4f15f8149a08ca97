"""The responses to one speech request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from adapters.triton.metrics import Metrics
from adapters.triton.responses import response_of, send_error
from adapters.triton.waiting import Wait
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.errors import Cancelled
from tritone.spoken_words import word_columns
from tritone.transcript import Word

FinishReason = Literal["stop", "length", "runaway"]


class ResponseStream:
    """Send the audio of one request: any number of `audio` calls, then exactly one of `finish` and `fail`.

    It may be used from any one thread at a time.
    """

    def __init__(
        self,
        sender: Any,
        metrics: Metrics,
        request_id: str = "",
        *,
        on_end: Callable[[ResponseStream], None] = lambda stream: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._metrics = metrics
        self._request_id = request_id
        self._on_end = on_end
        self._clock = clock
        self._wait = Wait(metrics, clock)
        self._first_audio: float | None = None
        self._last_audio: float | None = None
        self._plays_until = 0.0
        """The time at which a listener who began with the first audio has played all that was sent."""
        self._stalled = 0.0
        """Seconds of this listener's pauses."""
        self._samples = 0
        self._rate = SPEECH_RATE

    def is_cancelled(self) -> bool:
        """Return whether the client has cancelled the request; costs about 25 microseconds."""
        return bool(self._sender.is_cancelled())

    def wait(self) -> None:
        """Record that the request waits for a slot."""
        self._wait.begin()

    def start(self) -> None:
        """Record that work on the request begins and its time in the queue ends. Later calls change nothing."""
        self._wait.start()

    def audio(self, samples: NDArray[np.int16], rate: int = SPEECH_RATE, *, words: Sequence[Word] = ()) -> None:
        """Send the next piece of audio: mono, any length above 0; `rate` in Hz, the same for all pieces.

        `words`: those that the piece speaks, with their times from its start.
        """
        self._rate = rate
        timed = {} if not words else word_columns([word.shifted(self._samples / rate) for word in words])
        self._sender.send(response_of({"audio": samples, "sample_rate": [rate], **timed}))
        now, seconds = self._clock(), len(samples) / rate
        gap = None if self._last_audio is None else now - self._last_audio
        self._last_audio = now
        self._samples += len(samples)
        if self._first_audio is None:
            self._first_audio = self._plays_until = now
            self._metrics.first_audio(now - self._wait.arrived)
        elif now > self._plays_until:
            self._metrics.underrun(now - self._plays_until)
            self._stalled += now - self._plays_until
            self._plays_until = now
        self._plays_until += seconds
        self._metrics.audio(seconds, gap)

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream after its last audio."""
        self._metrics.finished(reason)
        self._metrics.tokens(audio_frames, text_tokens)
        self._report_playback()
        self._end(
            response_of(
                {
                    "audio": [],
                    "sample_rate": [self._rate],
                    "finish_reason": [reason.encode()],
                    "text_tokens": [text_tokens],
                    "audio_frames": [audio_frames],
                    "queue_seconds": [self._since_arrival(self._wait.started)],
                    "first_audio_seconds": [self._since_arrival(self._first_audio)],
                    "total_seconds": [self._since_arrival(self._last_audio)],
                }
            )
        )

    def describe(self, description: SpeechDescription) -> None:
        """End the stream with the model's description and no audio."""
        self._end(response_of({"description": [description.to_json().encode()]}))

    def fail(self, error: BaseException) -> None:
        """End the stream with an error; it is counted, and logged if it is not the client's. Never raises."""
        self._metrics.error(error)
        if isinstance(error, Cancelled):
            seconds = self._samples / self._rate
            pb_utils.Logger.log_info(f"request {self._request_id or '-'}: cancelled after {seconds:.2f} s of audio")
        self._wait.end()
        self._on_end(self)
        send_error(self._sender, error, self._request_id)

    def _report_playback(self) -> None:
        if self._last_audio is not None:
            seconds = self._samples / self._rate
            self._metrics.continuity(seconds / (seconds + self._stalled))
            if self._wait.started is not None:
                self._metrics.real_time_factor((self._last_audio - self._wait.started) / seconds)

    def _end(self, response: Any) -> None:
        self._wait.end()
        self._on_end(self)
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _since_arrival(self, moment: float | None) -> float:
        return (self._clock() if moment is None else moment) - self._wait.arrived
