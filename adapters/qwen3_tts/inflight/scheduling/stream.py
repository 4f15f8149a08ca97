"""The state of one request in the engine."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from adapters.inflight.audio_sink import AudioSink
from adapters.qwen3_tts.frames import FRAME_SECONDS
from adapters.qwen3_tts.inflight.io.input_processor import PreparedInput
from adapters.qwen3_tts.inflight.scheduling.runaway import RunawayDetector
from adapters.qwen3_tts.request import LimitReason, QwenRequest
from adapters.triton.response_stream import FinishReason

_USUAL_FRAMES = 4
"""Frames of speech per text token, as people usually speak."""
_LAST_FRAMES = 12
"""Frames that a stream is expected to need when it is already longer than expected."""


@dataclass(eq=False)
class Stream:
    """A request, its slot, and its progress. Times are those of the engine's clock."""

    request: QwenRequest
    sink: AudioSink
    arrived: float
    runaway: RunawayDetector
    deadline: float = math.inf
    """The time after which the client has no use for the audio."""
    queue_deadline: float = math.inf
    """The time until which the stream may wait for a slot."""
    reserved: int = 0
    """The largest number of frames that the stream may need."""
    prepared: PreparedInput | None = None
    """None while the input is being prepared."""
    is_prepared: bool = False
    error: BaseException | None = None
    limit: int = 0
    """Limit of codec tokens. The last token is not synthesized."""
    limit_reason: LimitReason = "length"
    """The finish reason when `limit` is reached."""
    slot: int = -1
    """-1: none yet."""
    joined: float = 0.0
    """The time at which the stream got its slot."""
    unprefilled: int = 0
    """Prompt tokens that are not prefilled yet, once the stream has a slot."""
    issued: int = 0
    """Codec tokens that are drawn or being drawn."""
    tokens: int = 0
    """Codec tokens that have reached the host, the end token included."""
    reason: FinishReason | None = None
    """The finish reason, once no more codes are drawn. The frames in `codes` are still decoded and sent."""
    codes: deque[NDArray[np.int64]] = field(default_factory=deque)
    """Frames (16,) that are not decoded yet."""
    chunks: int = 0
    """Chunks that are decoded or being decoded."""
    decoding: int = 0
    """Chunks that are being decoded."""
    decoded: int = 0
    """Frames that have been sent as audio."""
    first_audio: float | None = None
    over: bool = False
    """True once the stream holds no resources. Results that arrive afterwards are dropped."""

    @property
    def priority(self) -> int:
        """All streams are equal."""
        return 0

    @property
    def is_closed(self) -> bool:
        """True if the audio has no receiver any more."""
        return self.sink.closed

    @property
    def can_decode(self) -> bool:
        """True if the stream takes part in the next frame."""
        return self.slot >= 0 and not self.unprefilled and self.reason is None and self.issued < self.limit

    def buffered_seconds(self, now: float) -> float:
        """Return the seconds of audio that the client has left to play; minus infinity before the first audio."""
        if self.first_audio is None:
            return -math.inf
        return self.decoded * FRAME_SECONDS - (now - self.first_audio)

    @property
    def progress(self) -> str:
        """The amount of its result so far."""
        return f"{self.decoded * FRAME_SECONDS:.2f} s of audio"

    def pace(self, now: float) -> float | None:
        """Return the seconds per frame since the stream got its slot; None before the first frame."""
        return (now - self.joined) / self.tokens if self.tokens else None

    def seconds_left(self, now: float, usual_pace: float) -> float:
        """Estimate the seconds until the slot is free: from the length of the text, at the stream's pace if it has one.

        `usual_pace`: seconds per frame, for a stream without a pace of its own.
        """
        if self.reason:
            return 0.0
        expected = min(self.limit, _USUAL_FRAMES * self.request.text_tokens) - self.tokens
        frames = max(expected, min(_LAST_FRAMES, self.limit - self.tokens))
        return frames * (self.pace(now) or usual_pace)
