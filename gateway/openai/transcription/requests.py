"""The forms of OpenAI's transcriptions and translations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
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

from gateway.core.chinese import Script
from gateway.core.transcribe import TranscriptionRequest
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.language_fields import candidate_codes, optional_code
from gateway.openai.transcription import chunking
from gateway.openai.transcription.chunking import ServerVad
from tritone.contract import PROMPT_CHARS, TranscriptionOptions
from tritone.windowing import DEFAULT_VAD

TranslationFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

MOST_KEYWORDS: Final = 200
MOST_LANGUAGES: Final = 20
MOST_SPEAKERS: Final = 4
"""Speakers who are known by name."""
MOST_VOICES: Final = 100
"""The largest number of speakers that can be asked for."""

_SUBTITLES: Final = frozenset({"srt", "vtt"})
"""Formats that cut the text between words; of a model without words, within segments."""
_BY_WORDS: Final = _SUBTITLES | {"diarized_json"}
"""Formats that use the words' times."""


def list_field(name: str, description: str, most: int) -> Any:
    """Return a list field; the official clients send its name with brackets, some others without."""
    return Field([], max_length=most, validation_alias=AliasChoices(f"{name}[]", name), description=description)


class RecordingForm(BaseModel):
    """The fields that transcriptions and translations share."""

    file: UploadFile = Field(description="The recording, in any common audio or video container.")
    model: str | None = Field(
        None,
        description="A transcription model's id or alias; `GET /v1/models` lists the ids. None: the first of them.",
    )
    language: str | None = Field(
        None, description="The language that is spoken: ISO 639 code, BCP-47 tag or English name. None: detected."
    )
    prompt: str = Field("", description="Text that guides spelling and style, as if it came before the recording.")
    temperature: float | None = Field(None, ge=0.0, le=1.0, allow_inf_nan=False)
    response_format: ResponseFormat = "json"
    stream: bool = Field(
        False, description="Respond with events as text is transcribed; for the formats json, text and diarized_json."
    )

    @field_validator("language")
    @classmethod
    def _code(cls, language: str | None) -> str | None:
        return optional_code(language)

    @field_validator("stream")
    @classmethod
    def _has_events(cls, stream: bool, info: ValidationInfo) -> bool:
        if stream and info.data.get("response_format") not in ("json", "text", "diarized_json"):
            raise ValueError("choose response_format json, text or diarized_json for events, or do not stream")
        return stream

    def fields_without_effect(self, sent: Iterable[str], ignored: Iterable[str]) -> list[str]:
        """Return the names among `sent` of the fields that are unknown, or have no effect.

        `ignored` are the options of the use case that have none with the model.
        """
        without = {field for option in ignored for field in _FIELDS_OF.get(option, (option,))}
        if self.response_format != "verbose_json" and "word" not in self.granularities:
            without.add("timestamp_granularities")
        own = type(self).model_fields.keys() - without
        return [name for name in sent if not _is_own(name, own)]

    @property
    def granularities(self) -> Sequence[Granularity]:
        """The units that verbose_json has times of."""
        return ["segment"]

    @property
    def wants_logprobs(self) -> bool:
        """Whether the response has log probabilities, if the model has them."""
        return False

    @property
    def usage_in_tokens(self) -> bool:
        """Whether OpenAI counts this model's usage in tokens, and not in seconds."""
        return self.model is not None and self.model.startswith("gpt-")

    @abstractmethod
    def request(self) -> TranscriptionRequest:
        """Return the request of the use case."""

    @abstractmethod
    def client_field_name(self, name: str) -> str:
        """Return the field of this form that became the option or field `name` of the use case."""


class TranslationForm(RecordingForm):
    """The fields of `/v1/audio/translations`."""

    response_format: TranslationFormat = "json"

    def request(self) -> TranscriptionRequest:
        """Return the request of the use case."""
        options = TranscriptionOptions(
            task="translate",
            language=self.language or "auto",
            prompt=self.prompt,
            temperature=self.temperature,
            word_timestamps=self.response_format in _BY_WORDS,
        )
        return TranscriptionRequest(self.model, options, optional=_optional(self.response_format))

    def client_field_name(self, name: str) -> str:
        """Return the field of this form that became the option or field `name` of the use case."""
        return {"task": "model", "word_timestamps": "response_format", **FIELD_NAMES}.get(name, name)


class TranscriptionForm(RecordingForm):
    """The fields of `/v1/audio/transcriptions`."""

    languages: list[str] = list_field(
        "languages", "Languages that the recording may be in; one is detected.", MOST_LANGUAGES
    )
    keywords: list[Words] = list_field("keywords", "Words to expect, such as names.", MOST_KEYWORDS)
    hotwords: str = Field("", max_length=PROMPT_CHARS, description="The same as one text. Not in OpenAI's API.")
    condition_on_previous_text: bool = Field(
        False,
        description="Transcribe each window of a long recording with the text before it as its prompt. This takes "
        "longer, because windows are transcribed one after the other. Not in OpenAI's API.",
    )
    s2t: bool = Field(
        False, description="Write Chinese in traditional characters, as S2T_CONFIG says. Not in OpenAI's API."
    )
    enable_s2t: bool = Field(False, description="The same as `s2t`.")
    t2s: bool = Field(False, description="Write Chinese in simplified characters. Not in OpenAI's API.")
    chunking_strategy: Literal["auto"] | ServerVad = Field(
        "auto", description="Detection of speech in the audio: `auto`, or an object of type `server_vad`."
    )
    include: list[Literal["logprobs"]] = list_field(
        "include", "`logprobs`: the log probability of each token (json).", 1
    )
    timestamp_granularities: list[Granularity] = Field(
        ["segment"],
        validation_alias=AliasChoices("timestamp_granularities[]", "timestamp_granularities"),
        description="The units that verbose_json has times of; with `word`, diarized_json and streams have words, too.",
    )
    known_speaker_names: list[Words] = list_field(
        "known_speaker_names", "Names in diarized_json for the voices of `known_speaker_references`.", MOST_SPEAKERS
    )
    known_speaker_references: list[str] = list_field(
        "known_speaker_references", "A recording of each, 2-10 s, as a data URL in base64.", MOST_SPEAKERS
    )
    num_speakers: int = Field(
        0, ge=0, le=MOST_VOICES, description="So many speakers in diarized_json; 0: found out. Not in OpenAI's API."
    )
    min_speakers: int = Field(0, ge=0, le=MOST_VOICES, description="At least so many. Not in OpenAI's API.")
    max_speakers: int = Field(
        0, ge=0, le=MOST_VOICES, description="At most so many; 0: any number. Not in OpenAI's API."
    )

    @model_validator(mode="before")
    @classmethod
    def _strategy_in_brackets(cls, fields: Any) -> Any:
        return chunking.gathered(fields)

    @field_validator("chunking_strategy", mode="before")
    @classmethod
    def _strategy(cls, strategy: Any) -> Any:
        return chunking.parsed(strategy)

    @field_validator("languages")
    @classmethod
    def _codes(cls, candidates: list[str], info: ValidationInfo) -> list[str]:
        codes = candidate_codes(candidates)
        if codes and info.data.get("language"):
            raise ValueError("send either `language` or these")
        return codes

    @field_validator("t2s")
    @classmethod
    def _one_direction(cls, t2s: bool, info: ValidationInfo) -> bool:
        return one_direction(t2s, info.data.get("s2t") or info.data.get("enable_s2t"))

    @field_validator("timestamp_granularities")
    @classmethod
    def _only_where_times_are(cls, granularities: list[Granularity], info: ValidationInfo) -> list[Granularity]:
        timed = info.data.get("stream") or info.data.get("response_format") in ("verbose_json", "diarized_json")
        if "word" in granularities and not timed:
            raise ValueError("word times need response_format verbose_json or diarized_json, or a stream")
        return granularities

    @field_validator("include")
    @classmethod
    def _only_in_json(cls, include: list[str], info: ValidationInfo) -> list[str]:
        if include and info.data.get("response_format") != "json":
            raise ValueError("logprobs need response_format json")
        return include

    @field_validator("known_speaker_names", "known_speaker_references", "num_speakers", "min_speakers", "max_speakers")
    @classmethod
    def _only_in_diarized_json(cls, speakers: list[str] | int, info: ValidationInfo) -> list[str] | int:
        if speakers and info.data.get("response_format") != "diarized_json":
            raise ValueError("speakers need response_format diarized_json")
        return speakers

    @field_validator("max_speakers")
    @classmethod
    def _not_below_the_least(cls, most: int, info: ValidationInfo) -> int:
        return not_below_the_least(most, info)

    @field_validator("known_speaker_names")
    @classmethod
    def _differ(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("two speakers have the same name")
        return names

    @property
    def granularities(self) -> Sequence[Granularity]:
        """The units that verbose_json has times of."""
        return self.timestamp_granularities

    @property
    def wants_logprobs(self) -> bool:
        """Whether the response has log probabilities, if the model has them."""
        return bool(self.include)

    def request(self) -> TranscriptionRequest:
        """Return the request of the use case."""
        script = script_of(s2t=self.s2t or self.enable_s2t, t2s=self.t2s)
        options = TranscriptionOptions(
            language=self.language or ",".join(self.languages) or "auto",
            prompt=self.prompt,
            hotwords=", ".join(filter(None, (*self.keywords, self.hotwords))),
            temperature=self.temperature,
            word_timestamps="word" in self.timestamp_granularities or self.response_format in _BY_WORDS,
            logprobs="logprobs" in self.include,
            # Log probabilities and speakers come with whole segments.
            # Pieces of text are too short to be converted to another script.
            partial_text=self.stream and not (self.include or script) and self.response_format != "diarized_json",
        )
        return TranscriptionRequest(
            self.model,
            options,
            vad=DEFAULT_VAD if self.chunking_strategy == "auto" else self.chunking_strategy.options(),
            condition_on_previous_text=self.condition_on_previous_text,
            diarize=self.response_format == "diarized_json",
            optional=_optional(self.response_format),
            script=script,
            known_speaker_names=tuple(self.known_speaker_names),
            known_speaker_references=tuple(self.known_speaker_references),
            least_speakers=self.num_speakers or self.min_speakers or None,
            most_speakers=self.num_speakers or self.max_speakers or None,
        )

    def client_field_name(self, name: str) -> str:
        """Return the field of this form that became the option or field `name` of the use case."""
        by_format = self.response_format in _BY_WORDS
        names = {
            "word_timestamps": "response_format" if by_format else "timestamp_granularities[]",
            "language": "languages[]" if self.languages else "language",
            **FIELD_NAMES,
        }
        return names.get(name, name)


class TaskForm(TranscriptionForm):
    """The fields of `/v1/audio/transcriptions`, for routes that translate too."""

    task: Literal["transcribe", "translate"] = Field("transcribe", description="`translate`: into English.")

    def request(self) -> TranscriptionRequest:
        """Return the request of the use case."""
        request = super().request()
        return replace(request, options=replace(request.options, task=self.task))

    def client_field_name(self, name: str) -> str:
        """Return the field of this form that became the option or field `name` of the use case."""
        return name if name == "task" else super().client_field_name(name)


def _optional(response_format: ResponseFormat) -> tuple[str, ...]:
    return ("partial_text", "word_timestamps") if response_format in _SUBTITLES else ("partial_text",)


def _is_own(name: str, fields: Collection[str]) -> bool:
    """Return whether the form reads `name`: a field, a list with empty brackets, or a key of the chunking strategy."""
    bare, _, key = name.partition("[")
    return bare in fields and (key in ("", "]") or chunking.is_key(name))


def not_below_the_least(most: int, info: ValidationInfo) -> int:
    """Return the largest number of speakers; raises `ValueError` if `min_speakers` is larger."""
    if 0 < most < info.data.get("min_speakers", 0):
        raise ValueError(f"it is less than min_speakers, {info.data['min_speakers']}")
    return most


def one_direction(t2s: bool, s2t: bool | None) -> bool:
    """Return `t2s`; raises `ValueError` for both directions."""
    if t2s and s2t:
        raise ValueError("send either `s2t` or this")
    return t2s


def script_of(*, s2t: bool, t2s: bool) -> Script | None:
    """Return the script that is wanted."""
    return "traditional" if s2t else "simplified" if t2s else None


_FIELDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "language": ("language", "languages"),
    "hotwords": ("hotwords", "keywords"),
    "logprobs": ("include",),
}
"""Option of the use case -> the fields that it is made from, where they have other names."""
