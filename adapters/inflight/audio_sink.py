"""The output of a speech stream: as the engine sees it, and as the sending thread sends it."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.inflight.sending import Sink
from adapters.triton.response_stream import FinishReason, ResponseStream
from adapters.triton.samples import to_int16
from tritone.contract import SPEECH_RATE


class AudioSink(Protocol):
    """Takes the audio of one request. No method blocks or calls Triton."""

    closed: bool
    """True once the audio has no receiver any more."""

    def start(self) -> None:
        """Report that work on the request begins."""

    def audio(self, samples: NDArray[np.float32], rate: int = SPEECH_RATE) -> None:
        """Send the next samples (n,), -1 to 1, at `rate` Hz, which is the same for all."""

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream after its last audio."""

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""


class ResponseSink(Sink[ResponseStream]):
    """The audio sink of one client."""

    def start(self) -> None:
        """Report that work on the request begins."""
        self.call(ResponseStream.start)

    def audio(self, samples: NDArray[np.float32], rate: int = SPEECH_RATE) -> None:
        """Send samples (n,), -1 to 1, at `rate` Hz."""
        self.call(lambda reply: reply.audio(to_int16(samples), rate))

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream after its last audio."""
        finish = partial(ResponseStream.finish, reason=reason, text_tokens=text_tokens, audio_frames=audio_frames)
        self.call(finish, last=True)
