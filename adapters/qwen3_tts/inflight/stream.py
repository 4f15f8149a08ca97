"""One request under way."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.inflight.codec_state import CodecState
from adapters.qwen3_tts.inflight.guards import Watch
from adapters.qwen3_tts.inflight.prompt import Prompt
from adapters.qwen3_tts.inflight.sampling import Sampling
from adapters.qwen3_tts.stock import SAMPLES_PER_FRAME
from adapters.qwen3_tts.utterance import Cut, Utterance
from adapters.triton.speech import FinishReason
from tritone.contract import SPEECH_RATE

FRAME_SECONDS = SAMPLES_PER_FRAME / SPEECH_RATE
_USUAL_FRAMES = 4
"""For a token of text: about what people need to say it."""
_LAST_FRAMES = 12
"""What a stream that was expected to be over is expected to come to yet."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that an utterance needs to be spoken."""

    prompt: Prompt
    sampling: Sampling
    codec: CodecState | None
    """The codec after a cloned voice's reference; None: as it is before any audio."""


class Way(Protocol):
    """The way out to a caller. Nothing here blocks, or calls Triton."""

    gone: bool
    """Whether nobody listens any more."""

    def start(self) -> None:
        """Work on the request begins."""

    def audio(self, samples: NDArray[np.float32]) -> None:
        """The next samples (n,), -1 to 1."""

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """All has been spoken."""

    def fail(self, error: BaseException) -> None:
        """The request ends in an error."""


@dataclass(eq=False)
class Stream:
    """An utterance, its place in the engine, and what has been made of it so far. Moments are the engine's clock's."""

    utterance: Utterance
    way: Way
    arrived: float
    watch: Watch
    deadline: float = math.inf
    """When its caller has no more use for it."""
    patience: float = math.inf
    """Until when it waits for a slot."""
    reserved: int = 0
    """Frames that it may come to."""
    prepared: Prepared | None = None
    """None: being prepared, and not yet to be taken."""
    limit: int = 0
    """Codec tokens after which it is cut; the last one is not spoken."""
    cut: Cut = "length"
    """What it is called if that happens."""
    slot: int = -1
    """-1: none yet."""
    joined: float = 0.0
    """When it got its slot."""
    unread: int = 0
    """Tokens of its prompt that are still to be read, once it has a slot."""
    issued: int = 0
    """Codec tokens that are drawn or being drawn."""
    tokens: int = 0
    """Codec tokens of which the host knows, the end token among them."""
    reason: FinishReason | None = None
    """Why no more are drawn; what is in `codes` is still to be heard."""
    codes: deque[NDArray[np.int64]] = field(default_factory=deque)
    """Frames (16,) that are made and not yet decoded."""
    chunks: int = 0
    """Chunks that are decoded or being decoded."""
    decoding: int = 0
    """Those of them that are being decoded."""
    decoded: int = 0
    """Frames that have left as audio."""
    first_audio: float | None = None
    over: bool = False
    """It holds nothing any more: what still arrives of it is nobody's."""

    @property
    def speaks(self) -> bool:
        """Whether it takes part in the next frame."""
        return self.slot >= 0 and not self.unread and self.reason is None and self.issued < self.limit

    def credit(self, now: float) -> tuple[float, float]:
        """Seconds of audio that the listener still has, less than anybody's before the first; then by arrival."""
        if self.first_audio is None:
            return float("-inf"), self.arrived
        return self.decoded * FRAME_SECONDS - (now - self.first_audio), self.arrived

    def pace(self, now: float) -> float | None:
        """Seconds that a frame of it has taken since it got its slot; None: there is none yet."""
        return (now - self.joined) / self.tokens if self.tokens else None

    def seconds_left(self, now: float, usual_pace: float) -> float:
        """How long it will probably hold its slot: by the length of its text, at its pace or else at `usual_pace`."""
        if self.reason:
            return 0.0
        expected = min(self.limit, _USUAL_FRAMES * self.utterance.text_tokens) - self.tokens
        frames = max(expected, min(_LAST_FRAMES, self.limit - self.tokens))
        return frames * (self.pace(now) or usual_pace)
