"""Chat completions as far as this server reads and writes them itself, in the order of OpenAI's reference."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from gateway.audio.formats import AudioFormat
from gateway.core.synthesize import SynthesisRequest
from gateway.openai.addresses import ADDRESS_PROBLEM, is_passed_on
from gateway.openai.conversation.config import SpokenVoice
from gateway.openai.realtime.session_config import field_error
from tritone.errors import InvalidInput

_MOST_MESSAGES: Final = 2000
_UNSPOKEN: Final = ("logprobs", "top_logprobs", "functions", "function_call")
"""Fields that have no effect on a spoken answer."""
_OWN: Final = frozenset(
    {"messages", "model", "modalities", "audio", "n", "stream", "stream_options", "max_completion_tokens", "max_tokens"}
)
"""Fields that this server follows itself where it speaks the answer."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class AudioOutput(SpokenVoice):
    """The settings of the spoken answer."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"] = "wav"

    @classmethod
    def of(cls, given: Any) -> AudioOutput:
        """Return the settings of a request's `audio`. Raises `InvalidInput` and `HttpError` of a field."""
        try:
            return cls.model_validate(given or {})
        except ValidationError as error:
            raise field_error(error, "audio") from None

    def request(self, default_model: str, *, whole: bool) -> SynthesisRequest:
        """Return the request of the voice."""
        audio_format: AudioFormat = "pcm" if self.format == "pcm16" else self.format
        return SynthesisRequest(
            "",
            self.model or default_model or None,
            self.voice_name,
            speed=self.speed,
            audio_format=audio_format,
            whole=whole,
        )


class StreamOptions(BaseModel):
    """What a stream has beside the answer."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


Tokens = Annotated[int, Field(ge=1)]
Voice = Annotated[dict[str, Any], WithJsonSchema(AudioOutput.model_json_schema())]


class ChatBody(BaseModel):
    """OpenAI's request; the language model gets every field that is not listed here as it is."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=_MOST_MESSAGES,
        description="OpenAI's messages. The language model gets the words of `input_audio`, and those of an earlier "
        "answer that is named by its `audio.id`.",
    )
    model: str = Field(
        min_length=1, max_length=256, description="`gpt-audio`, another of OpenAI's names, or the language model's."
    )
    audio: Voice | None = Field(None, description="The voice and the format of a spoken answer.")
    max_completion_tokens: Tokens | None = Field(None, description="At most LLM_MAX_TOKENS in any case.")
    max_tokens: Tokens | None = Field(None, description="The earlier name of `max_completion_tokens`.")
    modalities: list[Literal["text", "audio"]] | None = Field(
        None, description="With `audio` the answer is spoken; else it is text."
    )
    n: int | None = Field(None, ge=1, description="Answers; only one can be spoken.")
    stream: bool | None = Field(None, description="Whether the answer comes in events while it is made.")
    stream_options: StreamOptions | None = None

    def check_addresses(self) -> None:
        """Raise `InvalidInput` for an `image_url`, or another file's address, that is not passed on."""
        for index, message in enumerate(self.messages):
            content = message.get("content")
            for position, part in enumerate(content if isinstance(content, list) else ()):
                for name, given in part.items() if isinstance(part, dict) else ():
                    address = given.get("url") if isinstance(given, dict) else given
                    if name.endswith("_url") and isinstance(address, str) and not is_passed_on(address):
                        field = f"messages[{index}].content[{position}].{name}"
                        raise InvalidInput(f"{field}.url" if isinstance(given, dict) else field, ADDRESS_PROBLEM)

    @property
    def spoken(self) -> bool:
        """Whether the answer is to be spoken."""
        return "audio" in (self.modalities or ())

    @property
    def fields(self) -> dict[str, Any]:
        """All that was sent."""
        return self.model_dump(exclude_unset=True)

    @property
    def fields_of_spoken(self) -> dict[str, Any]:
        """The fields for the language model where its answer is spoken, without those that `ChatRequest` names."""
        left_out = _OWN.union(_UNSPOKEN)
        return {name: value for name, value in (self.model_extra or {}).items() if name not in left_out}

    @property
    def ignored(self) -> Collection[str]:
        """The names of the fields that have no effect on a spoken answer."""
        return [name for name in _UNSPOKEN if (self.model_extra or {}).get(name)]

    @property
    def most_tokens(self) -> int | None:
        """The limit of the answer's tokens."""
        return min((limit for limit in (self.max_completion_tokens, self.max_tokens) if limit), default=None)


class SpokenAudio(BaseModel):
    """A spoken answer."""

    id: str
    data: str
    """The audio file in base64; empty while it stands in a file of its own."""
    expires_at: int
    """Unix seconds, until which a later request may name `id` in place of the answer."""
    transcript: str


class CalledFunction(BaseModel):
    """A function that the language model wants to have called."""

    name: str
    arguments: str


class FunctionToolCall(BaseModel):
    """The call of a function."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AnswerMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    """An answer in which there is nothing to speak."""
    refusal: str | None = None
    audio: SpokenAudio | None = None
    tool_calls: list[FunctionToolCall] | None = None


class Choice(BaseModel):
    """The one answer."""

    index: int = 0
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: None = None


class PromptTokens(BaseModel):
    """Tokens of the request by what they stand for."""

    text_tokens: int
    """As the language model counts them; the words of audio are among them."""
    audio_tokens: int
    """Of the audio, as the transcription model counts them."""
    cached_tokens: int = 0
    """Those of the text that the language model's server had computed before."""


class CompletionTokens(BaseModel):
    """Tokens of the answer by what they stand for."""

    text_tokens: int
    """As the language model counts them, without those of its reasoning."""
    audio_tokens: int
    """Frames of the speech model."""
    reasoning_tokens: int = 0


class ChatUsage(BaseModel):
    """The tokens of the language model, and those of the audio beside them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens


class SpokenCompletion(BaseModel):
    """A chat completion with a spoken answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage


class AudioDelta(BaseModel):
    """A part of a spoken answer: its id first, the words of each clause before its audio, and `expires_at` last."""

    id: str | None = None
    data: str | None = None
    """A part of the audio file, in base64."""
    transcript: str | None = None
    expires_at: int | None = None


class CallDelta(FunctionToolCall):
    """The call of a function, which comes whole."""

    index: int


class Delta(BaseModel):
    """A part of the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    audio: AudioDelta | None = None
    tool_calls: list[CallDelta] | None = None


class ChunkChoice(BaseModel):
    """A part of the one answer."""

    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None


class SpokenChunk(BaseModel):
    """An event with a part of a spoken answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
