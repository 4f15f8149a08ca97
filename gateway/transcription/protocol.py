"""OpenAI's transcription and translation: the forms that come in, the JSON and the events that go out."""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import UploadFile
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from tritone import languages
from tritone.contract import TranscriptionOptions

Task = Literal["transcribe", "translate"]
ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]

UNFOLLOWED: Final = frozenset(
    {
        "chunking_strategy",
        "include",
        "keywords",
        "known_speaker_names",
        "known_speaker_references",
        "language",
        "languages",
        "stream",
        "timestamp_granularities",
    }
)
"""OpenAI's fields that are accepted even where they have no effect; those of lists are sent with `[]` behind."""
_PROMPT_CHARS: Final = 4096
"""What is kept of a prompt, from its end; models hear some 200 tokens of it."""


class TranslationForm(BaseModel):
    """The fields of `/v1/audio/translations`, which transcriptions share."""

    file: UploadFile = Field(description="The recording, in any common audio or video container.")
    model: str = Field(description="A transcription model's id or alias; `GET /v1/models` lists the ids.")
    prompt: str = Field("", description="Text that guides spelling and style, as if spoken before the recording.")
    response_format: ResponseFormat = "json"
    temperature: float = Field(0.0, ge=0.0, le=1.0, allow_inf_nan=False)

    @field_validator("file", mode="before")
    @classmethod
    def _is_a_file(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("send it as a file, with a filename")
        return value

    @field_validator("prompt")
    @classmethod
    def _its_end(cls, prompt: str) -> str:
        return prompt[-_PROMPT_CHARS:]

    def ignored(self, names: list[str]) -> list[str]:
        """Those of OpenAI's fields among `names`, as they were sent, that this request does not follow."""
        followed = {field.alias or name for name, field in type(self).model_fields.items()}
        return [name for name in names if name not in followed and name.removesuffix("[]") in UNFOLLOWED]

    def options(self) -> TranscriptionOptions:
        """What the model is asked."""
        return TranscriptionOptions(task="translate", prompt=self.prompt, temperature=self.temperature)


class TranscriptionForm(TranslationForm):
    """The fields of `/v1/audio/transcriptions`."""

    language: str | None = Field(None, description="ISO 639-1 code, BCP-47 tag or English name. None: detected.")
    stream: bool = Field(False, description="Answer in events as the text comes; for the formats json and text.")
    timestamp_granularities: list[Granularity] = Field(
        ["segment"], alias="timestamp_granularities[]", description="What verbose_json has times of."
    )
    bare_granularities: list[Granularity] = Field(
        [], alias="timestamp_granularities", description="The same, as some clients write it."
    )

    @field_validator("language")
    @classmethod
    def _code(cls, language: str | None) -> str | None:
        if language is None or language == "auto":
            return None
        code = languages.code_of(language)
        if code is None:
            raise ValueError(f"{language!r} is unknown; send an ISO 639-1 code such as `en`")
        return code

    @field_validator("stream")
    @classmethod
    def _in_text_alone(cls, stream: bool, info: ValidationInfo) -> bool:
        if stream and info.data.get("response_format") not in ("json", "text"):
            raise ValueError("events carry text alone; choose response_format json, or do not stream")
        return stream

    @field_validator("timestamp_granularities", "bare_granularities")
    @classmethod
    def _in_verbose_json_alone(cls, granularities: list[Granularity], info: ValidationInfo) -> list[Granularity]:
        if "word" in granularities and info.data.get("response_format") != "verbose_json":
            raise ValueError("word times need response_format verbose_json")
        return granularities

    @property
    def granularities(self) -> set[Granularity]:
        """The granularities that were asked for, in either spelling."""
        return set(self.bare_granularities or self.timestamp_granularities)

    def options(self) -> TranscriptionOptions:
        """What the model is asked."""
        return TranscriptionOptions(
            language=self.language or "auto",
            prompt=self.prompt,
            temperature=self.temperature,
            word_timestamps="word" in self.granularities,
        )


class DurationUsage(BaseModel):
    """Usage by time."""

    type: Literal["duration"] = "duration"
    seconds: int
    """Of the recording, rounded up."""


class TokenUsage(BaseModel):
    """Usage by tokens: of audio in, of text out."""

    type: Literal["tokens"] = "tokens"
    input_tokens: int
    output_tokens: int
    total_tokens: int


class TranscriptionJson(BaseModel):
    """`response_format` json."""

    text: str
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


class TextDelta(BaseModel):
    """The text of the next segment; all of them one after the other are the whole text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class TextDone(BaseModel):
    """The end, with the whole text."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    usage: TokenUsage
