"""The state of one request in the engine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from adapters.f5_tts.crossfade import CrossFade
from adapters.f5_tts.stepper import Row, SamplingParams
from adapters.f5_tts.text import TextPart
from adapters.f5_tts.voices import VoiceCondition
from adapters.inflight.audio_sink import AudioSink
from adapters.triton.speech_request import SpeechRequest


@dataclass(eq=False)
class Stream:
    """A request, its slot, and its progress. Times are those of the engine's clock."""

    request: SpeechRequest
    params: SamplingParams
    sink: AudioSink
    arrived: float
    deadline: float
    queue_deadline: float = 0.0
    reserved: int = 0
    voice: VoiceCondition | None = None
    """None while the input is being prepared."""
    parts: deque[TextPart] = field(default_factory=deque)
    """The parts of the text that have no row yet."""
    is_prepared: bool = False
    error: BaseException | None = None
    slot: int = -1
    joined: float = 0.0
    row: Row | None = None
    """The part that is being synthesized."""
    steps: int = 0
    """Steps so far."""
    joins: CrossFade = field(default_factory=CrossFade)
    text_tokens: int = 0
    audio_frames: int = 0
    over: bool = False

    @property
    def priority(self) -> int:
        """All requests are alike."""
        return 0

    @property
    def is_closed(self) -> bool:
        """True if the audio has no receiver any more."""
        return self.sink.closed

    @property
    def can_decode(self) -> bool:
        """True if the stream takes part in the next step."""
        return self.slot >= 0

    @property
    def progress(self) -> str:
        """The amount of its result so far."""
        return f"{self.audio_frames} frames of audio"

    def pace(self, now: float) -> float | None:
        """Return the seconds per step since the stream got its slot; None before the first step."""
        return (now - self.joined) / self.steps if self.steps else None

    def seconds_left(self, now: float, usual_pace: float) -> float:
        """Estimate the seconds until the slot is free, at the stream's pace if it has one."""
        left = len(self.parts) * self.params.steps + (self.params.steps - self.row.step if self.row else 0)
        return max(1, left) * (self.pace(now) or usual_pace)
