"""OpenAI's transcription and translation: the forms that come in."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from fastapi import UploadFile
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tritone import languages
from tritone.contract import TranscriptionOptions
from tritone.windowing import VadOptions

TranslationFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

PROMPT_CHARS: Final = 4096
"""What is kept of a prompt, from its end; models hear some 200 tokens of it."""
_BY_WORDS: Final = frozenset({"srt", "vtt", "diarized_json"})
"""Formats that cut the text between words."""
MOST_KEYWORDS: Final = 200
MOST_SPEAKERS: Final = 4

_BRACKETED: Final = re.compile(r"chunking_strategy\[(\w+)]")


class ServerVad(BaseModel):
    """Turns of `chunking_strategy` at the voice activity detector; what is left out is as without a strategy."""

    type: Literal["server_vad"]
    threshold: float = Field(VadOptions().threshold, gt=0, lt=1, description="Probability at which speech sets in.")
    prefix_padding_ms: int = Field(
        round(VadOptions().pad_before * 1000), ge=0, le=5000, description="What is kept of the sound before speech."
    )
    silence_duration_ms: int = Field(
        round(VadOptions().pause * 1000), ge=0, le=10_000, description="The shortest silence that the audio is cut at."
    )

    def rules(self) -> VadOptions:
        """The same, as audio is cut by it."""
        return VadOptions(self.threshold, self.prefix_padding_ms / 1000, self.silence_duration_ms / 1000)


def several(name: str, description: str, most: int) -> Any:
    """A field of a list, whose name the official clients send with brackets and some others without."""
    return Field([], max_length=most, validation_alias=AliasChoices(f"{name}[]", name), description=description)


class TranslationForm(BaseModel):
    """The fields of `/v1/audio/translations`, which transcriptions share."""

    file: UploadFile = Field(description="The recording, in any common audio or video container.")
    model: str = Field(description="A transcription model's id or alias; `GET /v1/models` lists the ids.")
    prompt: str = Field("", description="Text that guides spelling and style, as if spoken before the recording.")
    response_format: TranslationFormat = "json"
    temperature: float = Field(0.0, ge=0.0, le=1.0, allow_inf_nan=False)

    @field_validator("file", mode="before")
    @classmethod
    def _is_a_file(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("send it as a file, with a filename")
        return value

    def ignored(self, names: list[str]) -> list[str]:
        """Those of OpenAI's fields among `names`, as they were sent, that this request does not follow."""
        followed = {"file", *type(self).model_fields}
        return [name for name in names if (bare := name.partition("[")[0]) in _OPENAIS and bare not in followed]

    @property
    def diarized(self) -> bool:
        """Whether speakers are to be told apart."""
        return False

    @property
    def conditioned(self) -> bool:
        """Whether each part of the recording is heard with the text before it in mind."""
        return False

    def rules(self) -> VadOptions:
        """How the recording is to be cut."""
        return VadOptions()

    def options(self) -> TranscriptionOptions:
        """What the model is asked, but for the prompt."""
        return TranscriptionOptions(
            task="translate",
            temperature=self.temperature,
            word_timestamps=self.response_format in _BY_WORDS,
        )


class TranscriptionForm(TranslationForm):
    """The fields of `/v1/audio/transcriptions`."""

    response_format: ResponseFormat = "json"  # type: ignore[assignment]  # it has one more than translations
    language: str | None = Field(None, description="ISO 639-1 code, BCP-47 tag or English name. None: detected.")
    languages: list[str] = several("languages", "Languages that the recording may be in; one is detected.", 20)
    keywords: list[Words] = several("keywords", "Words to expect, such as names.", MOST_KEYWORDS)
    hotwords: str = Field("", max_length=PROMPT_CHARS, description="The same as one text. Not in OpenAI's API.")
    condition_on_previous_text: bool = Field(
        False,
        description="Hear each part of a long recording with the text before it in mind: one part after the other, so "
        "it takes longer. Not in OpenAI's API.",
    )
    chunking_strategy: Literal["auto"] | ServerVad = Field(
        "auto", description="How speech is found in the audio: `auto`, or an object of type `server_vad`."
    )
    include: list[Literal["logprobs"]] = several("include", "`logprobs`: how probable each token was (json).", 1)
    stream: bool = Field(
        False, description="Answer in events as the text comes; for the formats json, text and diarized_json."
    )
    timestamp_granularities: list[Granularity] = Field(
        ["segment"],
        validation_alias=AliasChoices("timestamp_granularities[]", "timestamp_granularities"),
        description="What verbose_json has times of.",
    )
    known_speaker_names: list[Words] = several(
        "known_speaker_names", "What diarized_json is to call the voices of `known_speaker_references`.", MOST_SPEAKERS
    )
    known_speaker_references: list[str] = several(
        "known_speaker_references", "A recording of each, 2-10 s, as a data URL in base64.", MOST_SPEAKERS
    )

    @model_validator(mode="before")
    @classmethod
    def _strategy_in_brackets(cls, fields: Any) -> Any:
        """Objects come as the official clients spread them over fields, or as JSON."""
        spread = {match[1]: value for name, value in fields.items() if (match := _BRACKETED.fullmatch(name))}
        if spread:
            return {**fields, "chunking_strategy": spread}
        return fields

    @field_validator("chunking_strategy", mode="before")
    @classmethod
    def _strategy(cls, strategy: Any) -> Any:
        if isinstance(strategy, str) and strategy.startswith("{"):
            try:
                strategy = json.loads(strategy)
            except ValueError:
                raise ValueError("it is not JSON") from None
        if isinstance(strategy, dict):
            # By itself: a union's errors name every branch that did not fit.
            return ServerVad.model_validate(strategy)
        if strategy != "auto":
            raise ValueError("choose `auto`, or an object of type `server_vad`")
        return strategy

    @field_validator("language")
    @classmethod
    def _code(cls, language: str | None) -> str | None:
        return None if language is None or language == "auto" else known_code(language)

    @field_validator("languages")
    @classmethod
    def _codes(cls, candidates: list[str], info: ValidationInfo) -> list[str]:
        if candidates and info.data.get("language"):
            raise ValueError("send either `language` or these")
        return list(dict.fromkeys(map(known_code, candidates)))

    @field_validator("stream")
    @classmethod
    def _has_events(cls, stream: bool, info: ValidationInfo) -> bool:
        if stream and info.data.get("response_format") not in ("json", "text", "diarized_json"):
            raise ValueError("choose response_format json, text or diarized_json for events, or do not stream")
        return stream

    @field_validator("timestamp_granularities")
    @classmethod
    def _in_verbose_json_alone(cls, granularities: list[Granularity], info: ValidationInfo) -> list[Granularity]:
        if "word" in granularities and info.data.get("response_format") != "verbose_json":
            raise ValueError("word times need response_format verbose_json")
        return granularities

    @field_validator("include")
    @classmethod
    def _in_json_alone(cls, include: list[str], info: ValidationInfo) -> list[str]:
        if include and info.data.get("response_format") != "json":
            raise ValueError("logprobs need response_format json")
        return include

    @field_validator("known_speaker_names", "known_speaker_references")
    @classmethod
    def _in_diarized_json_alone(cls, known: list[str], info: ValidationInfo) -> list[str]:
        if known and info.data.get("response_format") != "diarized_json":
            raise ValueError("speakers are told apart in response_format diarized_json alone")
        return known

    @field_validator("known_speaker_names")
    @classmethod
    def _differ(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("each speaker needs a name of their own")
        return names

    @property
    def diarized(self) -> bool:
        """Whether speakers are to be told apart."""
        return self.response_format == "diarized_json"

    @property
    def conditioned(self) -> bool:
        """Whether each part of the recording is heard with the text before it in mind."""
        return self.condition_on_previous_text

    def rules(self) -> VadOptions:
        """How the recording is to be cut."""
        return VadOptions() if self.chunking_strategy == "auto" else self.chunking_strategy.rules()

    def options(self) -> TranscriptionOptions:
        """What the model is asked, but for the prompt."""
        return TranscriptionOptions(
            language=self.language or ",".join(self.languages) or "auto",
            hotwords=", ".join(filter(None, (*self.keywords, self.hotwords))),
            temperature=self.temperature,
            word_timestamps="word" in self.timestamp_granularities or self.response_format in _BY_WORDS,
            logprobs="logprobs" in self.include,
        )


def known_code(language: str) -> str:
    """The ISO 639-1 code of a language; raises `ValueError` for one that is unknown."""
    code = languages.code_of(language)
    if code is None:
        raise ValueError(f"{language!r} is unknown; send an ISO 639-1 code such as `en`")
    return code


_OPENAIS: Final = frozenset(TranscriptionForm.model_fields) - {"hotwords", "condition_on_previous_text"}
"""OpenAI's fields, which translations accept without effect."""
