"""The state of one window in the engine, and its output as the engine sees it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Protocol

from adapters.inflight.repetition import RepetitionDetector
from adapters.inflight.sending import Sink
from adapters.qwen2_5_omni.sampler import SamplingParams
from adapters.qwen2_5_omni.stepper import Drawn, Prompt
from adapters.qwen2_5_omni.text import TextAssembler
from adapters.triton.response_stream import FinishReason
from adapters.triton.transcriber import WindowRequest
from adapters.triton.transcript_stream import TranscriptStream
from tritone.languages import candidates_of
from tritone.transcript import Segment, Transcript

_TOKENS_PER_SECOND = 4
"""The text of a second of speech, as people usually speak."""


class TextSink(Protocol):
    """Takes the text of one window. No method blocks or calls Triton."""

    closed: bool
    """True once the text has no receiver any more."""

    def start(self) -> None:
        """Report that work on the window begins."""

    def text(self, delta: str) -> None:
        """Send the next piece of the text."""

    def finish(self, transcript: Transcript, *, seconds: float, reason: FinishReason) -> None:
        """End the stream with the transcript of `seconds` of audio."""

    def fail(self, error: BaseException) -> None:
        """End the stream with an error."""


class ResponseSink(Sink[TranscriptStream]):
    """The text sink of one client."""

    def start(self) -> None:
        """Report that work on the window begins."""
        self.call(TranscriptStream.start)

    def text(self, delta: str) -> None:
        """Send the next piece of the text."""
        self.call(lambda reply: reply.text(delta))

    def finish(self, transcript: Transcript, *, seconds: float, reason: FinishReason) -> None:
        """End the stream with the transcript of `seconds` of audio."""
        self.call(lambda reply: reply.finish(transcript, seconds=seconds, reason=reason), last=True)


@dataclass(eq=False)
class Stream:
    """A window, its slot, and its progress. Times are those of the engine's clock."""

    window: WindowRequest
    params: SamplingParams
    sink: TextSink
    arrived: float
    deadline: float
    max_tokens: int
    repetition: RepetitionDetector
    queue_deadline: float = 0.0
    reserved: int = 0
    prompt: Prompt | None = None
    """None while the input is being prepared."""
    is_prepared: bool = False
    error: BaseException | None = None
    limit: int = 0
    """Limit of tokens, the end token included; known with the prompt."""
    slot: int = -1
    joined: float = 0.0
    unprefilled: int = 0
    """Prompt tokens that are not prefilled yet, once the stream has a slot."""
    drawn: list[Drawn] = field(default_factory=list)
    """The tokens of the text."""
    token_texts: list[bytes] = field(default_factory=list)
    text: TextAssembler = field(default_factory=TextAssembler)
    over: bool = False

    @property
    def priority(self) -> int:
        """Windows that a client waits for come before those in the background."""
        return int(self.window.options.background)

    @property
    def is_closed(self) -> bool:
        """True if the text has no receiver any more."""
        return self.sink.closed

    @property
    def can_decode(self) -> bool:
        """True if the stream takes part in the next step."""
        return self.slot >= 0 and not self.unprefilled

    @property
    def progress(self) -> str:
        """The amount of its result so far."""
        return f"{len(self.drawn)} tokens of text"

    def pace(self, now: float) -> float | None:
        """Return the seconds per token since the stream got its slot; None before the first token."""
        return (now - self.joined) / len(self.drawn) if self.drawn else None

    def seconds_left(self, now: float, usual_pace: float) -> float:
        """Estimate the seconds until the slot is free, from the audio's length, at the stream's pace if it has one."""
        expected = self.window.seconds * _TOKENS_PER_SECOND - len(self.drawn)
        return max(1.0, min(expected, self.max_tokens)) * (self.pace(now) or usual_pace)

    def transcript(self) -> Transcript:
        """Return what the client gets: one segment, as long as the window; none if there is no text."""
        options = self.window.options
        language = next(iter(candidates_of(options.language)), "") if "," not in options.language else ""
        language = "" if options.language == "auto" else language
        if not self.text.text:
            return Transcript(language, float(bool(language)), ())
        logprobs = tuple(each.logprob for each in self.drawn) if options.logprobs else ()
        content = self.text.text.encode()
        segment = Segment(
            start=0.0,
            end=self.window.seconds,
            text=self.text.text,
            tokens=tuple(each.token for each in self.drawn),
            temperature=self.params.temperature,
            avg_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
            compression_ratio=len(content) / len(zlib.compress(content)),
            token_logprobs=logprobs,
            token_texts=tuple(self.token_texts) if options.logprobs else (),
        )
        return Transcript(language, float(bool(language)), (segment,))
