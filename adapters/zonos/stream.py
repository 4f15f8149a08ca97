"""The state of one request in the engine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from adapters.inflight.audio_sink import AudioSink
from adapters.triton.speech_request import SpeechRequest
from adapters.zonos.request import Part
from adapters.zonos.settings import FRAMES_PER_SECOND

_CHARS_PER_SECOND = 12
"""The text of a second of speech, as people usually speak."""


@dataclass(eq=False)
class Stream:
    """A request, its slot, and its progress. Times are those of the engine's clock."""

    request: SpeechRequest
    sink: AudioSink
    arrived: float
    deadline: float
    queue_deadline: float = 0.0
    reserved: int = 0
    parts: deque[Part] | None = None
    """The parts that are not complete, the current one first. None while the input is being prepared."""
    is_prepared: bool = False
    error: BaseException | None = None
    text_tokens: int = 0
    slot: int = -1
    joined: float = 0.0
    prefilled: bool = False
    """True once the current part's prefix is read."""
    sent: int = 0
    """Frames of the current part that were passed on to the codec."""
    pieces: int = 0
    """Pieces of audio so far."""
    frames: int = 0
    """Frames of the parts that are complete."""
    codes: list[list[int]] = field(default_factory=list)
    """All frames so far, (frames, codebooks)."""
    over: bool = False

    @property
    def priority(self) -> int:
        """The same for all streams."""
        return 0

    @property
    def is_closed(self) -> bool:
        """True if the audio has no receiver any more."""
        return self.sink.closed

    @property
    def can_decode(self) -> bool:
        """True if the stream takes part in the next step."""
        return self.slot >= 0 and self.prefilled

    @property
    def progress(self) -> str:
        """The amount of its result so far."""
        return f"{len(self.codes)} frames of audio"

    def pace(self, now: float) -> float | None:
        """Return the seconds per frame since the stream got its slot; None before the first frame."""
        frames = len(self.codes)
        return (now - self.joined) / frames if frames else None

    def seconds_left(self, now: float, usual_pace: float) -> float:
        """Estimate the seconds until the slot is free, from the text's length, at the stream's pace if it has one."""
        expected = len(self.request.text) / _CHARS_PER_SECOND * FRAMES_PER_SECOND - len(self.codes)
        return max(FRAMES_PER_SECOND, expected) * (self.pace(now) or usual_pace)
