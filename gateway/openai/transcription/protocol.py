"""The JSON and the events of OpenAI's transcriptions and translations."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from gateway.core.transcription_result import Task


class DurationUsage(BaseModel):
    """Usage by time."""

    type: Literal["duration"] = "duration"
    seconds: int
    """The recording's length, rounded up."""


class InputTokens(BaseModel):
    """The kinds of input tokens."""

    audio_tokens: int
    text_tokens: int = 0


class TokenUsage(BaseModel):
    """Usage by tokens: the model's positions for the audio, and the tokens of the text; a prompt is not counted."""

    type: Literal["tokens"] = "tokens"
    input_tokens: int
    input_token_details: InputTokens
    output_tokens: int
    total_tokens: int


class Logprob(BaseModel):
    """A token of the text and its log probability."""

    token: str
    """Its characters; a replacement character stands for a part of a character."""
    bytes: list[int]
    logprob: float
    """Natural logarithm of the probability."""


class Language(BaseModel):
    """A language that was spoken."""

    code: str
    """ISO 639-1."""


class TranscriptionJson(BaseModel):
    """`response_format` json."""

    text: str
    languages: list[Language]
    """The languages that were spoken, in order."""
    logprobs: list[Logprob] | None = None
    usage: DurationUsage | TokenUsage
    """In tokens for a name of OpenAI's that begins with `gpt-`, as there."""


class VerboseSegment(BaseModel):
    """A segment with its times in seconds and its statistics, which a model may lack."""

    id: int
    seek: int
    """The start of the segment's window in the recording, in frames of 10 ms."""
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float | None
    avg_logprob: float | None
    compression_ratio: float | None
    no_speech_prob: float | None


class VerboseWord(BaseModel):
    """A word with its times in seconds."""

    word: str
    start: float
    end: float


class TranscriptionVerbose(BaseModel):
    """`response_format` verbose_json."""

    task: Task
    language: str
    """Its English name; `unknown` if there is no speech."""
    language_code: str | None
    """Its ISO 639 code; absent if there is no speech. Not in OpenAI's API."""
    duration: float
    """The recording's length in seconds."""
    text: str
    segments: list[VerboseSegment] | None = None
    words: list[VerboseWord] | None = None
    usage: DurationUsage


class TimedSegment(BaseModel):
    """A stretch of speech as an event; its times are in seconds. Without a speaker, it is not in OpenAI's API."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    words: list[VerboseWord] | None = None
    """With `timestamp_granularities[]=word`. Not in OpenAI's API."""


class DiarizedSegment(TimedSegment):
    """A stretch of speech by one speaker, in a response or as an event."""

    speaker: str
    """One of `known_speaker_names`, or A, B, and so on."""


class TranscriptionDiarized(BaseModel):
    """`response_format` diarized_json."""

    task: Literal["transcribe"] = "transcribe"
    duration: float
    """The recording's length in seconds."""
    text: str
    segments: list[DiarizedSegment]
    usage: DurationUsage | TokenUsage
    """In tokens for a name of OpenAI's that begins with `gpt-`, as there."""


class TextDelta(BaseModel):
    """The text of the next segment; all deltas joined are the whole text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: list[Logprob] | None = None
    segment_id: str | None = None
    """The `id` of the segment's own event, if there is one."""


class TextDone(BaseModel):
    """The end, with the whole text."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    languages: list[Language]
    logprobs: list[Logprob] | None = None
    usage: TokenUsage
