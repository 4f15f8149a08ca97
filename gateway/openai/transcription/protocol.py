"""OpenAI's transcription and translation: the JSON and the events that go out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Task = Literal["transcribe", "translate"]


class DurationUsage(BaseModel):
    """Usage by time."""

    type: Literal["duration"] = "duration"
    seconds: int
    """Of the recording, rounded up."""


class InputTokens(BaseModel):
    """What the tokens that the model heard are of."""

    audio_tokens: int
    text_tokens: int = 0


class TokenUsage(BaseModel):
    """Usage by tokens: of audio in, of text out."""

    type: Literal["tokens"] = "tokens"
    input_tokens: int
    input_token_details: InputTokens
    output_tokens: int
    total_tokens: int


class Logprob(BaseModel):
    """A token of the text and how probable the model found it."""

    token: str
    """Its characters; replacement characters stand for those that it holds a part of."""
    bytes: list[int]
    logprob: float
    """Natural logarithm of the probability."""


class Language(BaseModel):
    """A language that was heard."""

    code: str
    """ISO 639-1."""


class TranscriptionJson(BaseModel):
    """`response_format` json."""

    text: str
    languages: list[Language]
    """Those that were heard, in order."""
    logprobs: list[Logprob] | None = None
    usage: DurationUsage


class VerboseSegment(BaseModel):
    """A segment with its times in seconds and what the model thought of it."""

    id: int
    seek: int
    """The start of the segment's window in the recording, in frames of 10 ms."""
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseWord(BaseModel):
    """A word with its times in seconds."""

    word: str
    start: float
    end: float


class TranscriptionVerbose(BaseModel):
    """`response_format` verbose_json."""

    task: Task
    language: str
    """Its English name; `unknown` where nothing was said."""
    duration: float
    """Of the recording, in seconds."""
    text: str
    segments: list[VerboseSegment] | None = None
    words: list[VerboseWord] | None = None
    usage: DurationUsage


class SpokenSegment(BaseModel):
    """What one speaker says at a time, in an answer or as an event; its times are in seconds."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    speaker: str
    """One of `known_speaker_names`, else A, B, and so on."""
    start: float
    end: float
    text: str


class TranscriptionDiarized(BaseModel):
    """`response_format` diarized_json."""

    task: Literal["transcribe"] = "transcribe"
    duration: float
    """Of the recording, in seconds."""
    text: str
    segments: list[SpokenSegment]
    usage: DurationUsage


class TextDelta(BaseModel):
    """The text of the next segment; all of them one after the other are the whole text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: list[Logprob] | None = None
    segment_id: str | None = None
    """The segment's `id`, where speakers are told apart."""


class TextDone(BaseModel):
    """The end, with the whole text."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    languages: list[Language]
    logprobs: list[Logprob] | None = None
    usage: TokenUsage
