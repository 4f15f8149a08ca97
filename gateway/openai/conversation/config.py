"""The configuration of a conversation, and of one response in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from gateway.core.speech_options import SPEEDS
from gateway.openai.conversation.truncation import Truncation
from gateway.openai.realtime.changes import changed
from gateway.openai.realtime.protocol import ClientWarning
from gateway.openai.realtime.session_config import (
    Audio,
    AudioInput,
    InputFormat,
    RealtimeConfig,
    Settings,
    TranscriptionSettings,
    TurnDetection,
)
from tritone.errors import InvalidInput

DEFAULT_MODEL: Final = "gpt-realtime"
DEFAULT_INSTRUCTIONS: Final = (
    "You are a friendly voice assistant. Your answers are spoken: answer in the user's language, in a few short "
    "sentences of plain text, without lists, Markdown or emoji."
)
_TRANSCRIBER: Final = "whisper-1"
_OPENAI_FIELDS: Final = ("model", "language", "prompt")
_MOST_TOOLS: Final = 128
_MOST_CHARS: Final = 100_000
_WITHOUT_EFFECT: Final = frozenset(
    {
        "audio.input.noise_reduction",  # models transcribe noisy speech better than cleaned speech
        "prompt",
        "tracing",
    }
)
"""OpenAI's fields that have no effect here."""
_RESPONSE_WITHOUT_EFFECT: Final = frozenset({"prompt"})

Modality = Literal["text", "audio"]
Modalities = Annotated[list[Modality], Field(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Field(ge=1, le=100_000)] | Literal["inf"]
Text = Annotated[str, Field(max_length=_MOST_CHARS)]


class ConversationTranscription(TranscriptionSettings):
    """The transcription of the user's turns."""

    model: str = _TRANSCRIBER

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not in OpenAI's API, unless it is set: Pipecat accepts no other field."""
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if name in _OPENAI_FIELDS or value}


class ConversationTurnDetection(TurnDetection):
    """The detection of a turn, and what follows from it."""

    create_response: bool = True
    """Whether the end of a turn begins a response."""
    interrupt_response: bool = True
    """Whether the begin of a turn ends the response that is spoken."""


class ConversationInput(AudioInput):
    """The settings of the client's audio."""

    transcription: ConversationTranscription | None = None
    """None: the turns are transcribed for the language model alone, without events."""
    turn_detection: ConversationTurnDetection | None = ConversationTurnDetection()


class VoiceId(Settings):
    """A registered voice."""

    id: str


class SpokenVoice(Settings):
    """The voice that an answer is spoken in."""

    voice: str | VoiceId | None = None
    """None: the model's own."""
    speed: float = Field(default=1.0, ge=SPEEDS[0], le=SPEEDS[1])
    model: str | None = None
    """The speech model; None: the default one. Not in OpenAI's API."""

    @property
    def voice_name(self) -> str:
        """The name or id of the voice; empty: the model's own."""
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice or ""


class OutputAudio(SpokenVoice):
    """The settings of the spoken answer."""

    format: InputFormat = InputFormat()


class ConversationAudio(Audio):
    """The settings of both directions."""

    input: ConversationInput = ConversationInput()
    output: OutputAudio = OutputAudio()


class FunctionTool(Settings):
    """A function that the client offers to call."""

    type: Literal["function"] = "function"
    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def for_chat(self) -> dict[str, Any]:
        """Return it in the form of `/chat/completions`."""
        fields = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": {name: value for name, value in fields.items() if value is not None}}


class NamedTool(Settings):
    """The choice of one function."""

    type: Literal["function"] = "function"
    name: str


ToolChoice = Literal["none", "auto", "required"] | NamedTool
Tools = Annotated[list[FunctionTool], Field(max_length=_MOST_TOOLS)]


class Reasoning(Settings):
    """How much the language model thinks before it answers, which takes time."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class ConversationConfig(RealtimeConfig):
    """The configuration of a conversation."""

    without_effect: ClassVar[frozenset[str]] = _WITHOUT_EFFECT

    type: Literal["realtime"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"
    model: str = DEFAULT_MODEL
    instructions: Text = DEFAULT_INSTRUCTIONS
    output_modalities: Modalities = Field(default=["audio"])
    tools: Tools = Field(default=[])
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    truncation: Truncation = "auto"
    audio: ConversationAudio = ConversationAudio()

    @classmethod
    def new(cls, id_: str, expires_at: int, model: str) -> ConversationConfig:
        """Return the configuration of a session before the client changes it."""
        return cls(id=id_, expires_at=expires_at, model=model)

    @property
    def input(self) -> ConversationInput:
        """The settings of the client's audio."""
        return self.audio.input

    @property
    def heard_transcription(self) -> TranscriptionSettings:
        """The transcription for the language model, which needs the text of each turn."""
        return self.input.transcription or ConversationTranscription()

    @property
    def heard_input(self) -> AudioInput:
        """The settings of the client's audio with this transcription."""
        heard = self.input.model_copy(update={"transcription": self.heard_transcription})
        heard.partial_text = self.input.transcription is not None
        return heard


class _OutputChanges(Settings):
    format: InputFormat | None = None
    voice: str | VoiceId | None = None


class _AudioChanges(Settings):
    output: _OutputChanges | None = None


class ResponseChanges(Settings):
    """What a `response.create` wants to have different from the session."""

    output_modalities: Modalities | None = None
    instructions: Text | None = None
    audio: _AudioChanges | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: list[dict[str, Any]] | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)

    @field_validator("metadata")
    @classmethod
    def _short(cls, metadata: dict[str, str] | None) -> dict[str, str] | None:
        if any(len(name) > 64 or len(value) > 512 for name, value in (metadata or {}).items()):
            raise ValueError("keys have at most 64 characters, and values 512")
        return metadata

    @classmethod
    def of(cls, given: Any) -> tuple[ResponseChanges, list[ClientWarning]]:
        """Return the changes of an event's `response`, and a warning for each that is not followed.

        Raises `InvalidInput` with the path of a wrong value.
        """
        if given is not None and not isinstance(given, dict):
            raise InvalidInput("response", "it is not an object")
        return changed(cls(), given or {}, without_effect=_RESPONSE_WITHOUT_EFFECT, name="response")


@dataclass(frozen=True)
class ResponseOptions:
    """The options of one response."""

    instructions: str
    modality: Modality
    output: OutputAudio
    tools: tuple[FunctionTool, ...]
    tool_choice: ToolChoice
    max_output_tokens: int | Literal["inf"]
    parallel_tool_calls: bool | None
    reasoning: Reasoning | None
    truncation: Truncation
    in_conversation: bool = True
    """Whether its items become part of the conversation."""
    input: tuple[Mapping[str, Any], ...] | None = None
    """Items to answer instead of the conversation's."""
    metadata: Mapping[str, str] | None = None

    @classmethod
    def of(cls, config: ConversationConfig, changes: ResponseChanges) -> ResponseOptions:
        """Return the session's options with `changes`."""
        different = (changes.audio and changes.audio.output) or _OutputChanges()
        output = config.audio.output.model_copy(
            update={name: value for name in ("format", "voice") if (value := getattr(different, name)) is not None}
        )
        return cls(
            config.instructions if changes.instructions is None else changes.instructions,
            (changes.output_modalities or config.output_modalities)[0],
            output,
            tuple(config.tools if changes.tools is None else changes.tools),
            changes.tool_choice or config.tool_choice,
            changes.max_output_tokens or config.max_output_tokens,
            config.parallel_tool_calls if changes.parallel_tool_calls is None else changes.parallel_tool_calls,
            changes.reasoning or config.reasoning,
            config.truncation,
            changes.conversation == "auto",
            None if changes.input is None else tuple(changes.input),
            changes.metadata,
        )

    def chat_choice(self) -> str | dict[str, Any]:
        """Return the choice of tools in the form of `/chat/completions`."""
        if isinstance(self.tool_choice, NamedTool):
            return {"type": "function", "function": {"name": self.tool_choice.name}}
        return self.tool_choice
