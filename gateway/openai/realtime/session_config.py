"""The configuration of a Realtime session of either type, and its changes by the client."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from gateway.core.chinese import Script
from gateway.errors import BadRequest, HttpError
from gateway.openai.language_fields import candidate_codes, optional_code
from gateway.openai.realtime.audio import Encoding
from gateway.openai.realtime.changes import changed
from gateway.openai.realtime.end_of_turn import Eagerness, Ending, silence_ms
from gateway.openai.realtime.protocol import ClientWarning, warned
from gateway.openai.realtime.stability import Delay
from gateway.openai.transcription.requests import MOST_KEYWORDS, MOST_LANGUAGES, Words, one_direction, script_of
from tritone.contract import PROMPT_CHARS, SPEECH_RATE, TranscriptionOptions
from tritone.errors import InvalidInput

DEFAULT_MODEL: Final = "whisper-1"
LOGPROBS: Final = "item.input_audio_transcription.logprobs"

_CLIENT_COMMITS: Final = frozenset({"gpt-live-transcribe", "gpt-realtime-whisper"})
"""Models of OpenAI without turn detection: their clients commit each turn."""
_WITH_SPEAKERS: Final = "gpt-4o-transcribe-diarize"
"""The model of OpenAI that tells speakers apart."""
_OF_OTHER_TYPE: Final = {
    "server_vad": ("eagerness",),
    "semantic_vad": ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"),
}
"""Type of turn detection -> the fields that only the other type has."""
_WITHOUT_EFFECT: Final = frozenset(
    {
        "audio.input.noise_reduction",  # models transcribe noisy speech better than cleaned speech
        "audio.input.turn_detection.create_response",
        "audio.input.turn_detection.interrupt_response",
    }
)
"""OpenAI's fields that have no effect here."""


class Settings(BaseModel):
    """Settings in which null means the default, unless null is a value of its own."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        fields = cls.model_fields
        return {
            name: value
            for name, value in given.items()
            if value is not None or name not in fields or _nullable(fields[name])
        }


def _nullable(field: Any) -> bool:
    return type(None) in getattr(field.annotation, "__args__", ())


class InputFormat(Settings):
    """The encoding of the client's audio: PCM of 16 bits, little-endian, at 24 kHz, or G.711 at 8 kHz; mono."""

    type: Encoding = "audio/pcm"
    rate: Literal[24000] | None = None

    @model_serializer
    def _with_rate(self) -> dict[str, Any]:
        """Return it as OpenAI does: PCM has a rate, and G.711 none. Clients check it."""
        return {"type": self.type, "rate": SPEECH_RATE} if self.type == "audio/pcm" else {"type": self.type}


class TranscriptionSettings(Settings):
    """The model that transcribes the turns, and its options."""

    model: str
    language: str | None = None
    languages: list[str] = Field(default=[], max_length=MOST_LANGUAGES)
    keywords: list[Words] = Field(default=[], max_length=MOST_KEYWORDS)
    prompt: str = Field(default="", max_length=PROMPT_CHARS)
    delay: Delay | None = None
    """How sure the text of an open turn must be before it is sent."""
    s2t: bool = False
    """Write Chinese in traditional characters. Not in OpenAI's API, like `t2s`."""
    t2s: bool = False

    @field_validator("t2s")
    @classmethod
    def _one_direction(cls, t2s: bool, info: ValidationInfo) -> bool:
        return one_direction(t2s, info.data.get("s2t"))

    @field_validator("language")
    @classmethod
    def _code(cls, language: str | None) -> str | None:
        return optional_code(language)

    @field_validator("keywords", mode="before")
    @classmethod
    def _without_blanks(cls, words: Any) -> Any:
        return [word for word in words if word not in (None, "")] if isinstance(words, list) else words

    @field_validator("languages")
    @classmethod
    def _codes(cls, candidates: list[str]) -> list[str]:
        return candidate_codes(candidates)

    def options(self, *, logprobs: bool) -> TranscriptionOptions:
        """Return the options of the model."""
        return TranscriptionOptions(
            language=self.language or ",".join(self.languages) or "auto",
            prompt=self.prompt,
            hotwords=", ".join(self.keywords),
            # Speakers get sentences, which have no tokens of their own.
            logprobs=logprobs and not self.with_speakers,
            word_timestamps=self.with_speakers,
        )

    @property
    def with_speakers(self) -> bool:
        """Whether the text is told by speaker too."""
        return self.model == _WITH_SPEAKERS

    @property
    def script(self) -> Script | None:
        """The script of Chinese text."""
        return script_of(s2t=self.s2t, t2s=self.t2s)


class TurnDetection(Settings):
    """The detection of a turn's begin and end."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_duration_ms: int = Field(default=500, ge=50, le=10_000)
    idle_timeout_ms: int | None = Field(default=None, ge=5000, le=30_000)
    eagerness: Eagerness = "auto"

    @property
    def longest_silence_ms(self) -> int:
        """The silence that ends a turn at the latest."""
        return silence_ms(self.eagerness) if self.type == "semantic_vad" else self.silence_duration_ms

    @property
    def without_text(self) -> TurnDetection:
        """The same for turns that are not transcribed."""
        if self.type == "server_vad":
            return self
        return TurnDetection(silence_duration_ms=silence_ms(self.eagerness, Ending.UNCLEAR))

    @model_serializer(mode="wrap")
    def _fields_of_type(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if name not in _OF_OTHER_TYPE[self.type]}


class AudioInput(Settings):
    """The settings of the client's audio."""

    format: InputFormat = InputFormat()
    transcription: TranscriptionSettings | None
    """None: turns are detected, but not transcribed."""
    turn_detection: TurnDetection | None = TurnDetection()
    """None: the client commits each turn."""
    noise_reduction: None = None

    _partial_text: bool = PrivateAttr(default=True)

    @property
    def partial_text(self) -> bool:
        """Whether turns are transcribed while they grow: for the client, or to judge about their end."""
        semantic = self.turn_detection is not None and self.turn_detection.type == "semantic_vad"
        return self.transcription is not None and (self._partial_text or semantic)

    @partial_text.setter
    def partial_text(self, wanted: bool) -> None:
        self._partial_text = wanted

    @property
    def detection(self) -> TurnDetection | None:
        """The detection of turns as far as it is possible: without their text, what was said cannot count."""
        found = self.turn_detection
        return found.without_text if found and not self.transcription else found


class Audio(Settings):
    """The settings of audio; a transcription session has no output."""

    input: AudioInput


class RealtimeConfig(Settings):
    """The configuration of a session of any type; `updated` returns a changed one."""

    without_effect: ClassVar[frozenset[str]] = _WITHOUT_EFFECT

    type: str
    id: str
    object: str
    expires_at: int
    """Unix time."""
    audio: Audio
    include: list[Literal["item.input_audio_transcription.logprobs"]] = []

    _detection_chosen: bool = PrivateAttr(default=False)
    """Whether the client has set `turn_detection`; else the model decides."""

    @property
    def input(self) -> AudioInput:
        """The settings of the client's audio."""
        return self.audio.input

    def updated(self, changes: Any) -> tuple[Self, list[ClientWarning]]:
        """Return the configuration after a `session.update`, and a warning for each setting that is not as asked.

        Raises `InvalidInput` with the path of a wrong value.
        """
        if not isinstance(changes, dict):
            raise InvalidInput("session", "send an object with the changes")
        if (changes.get("type") or self.type) != self.type:
            raise InvalidInput("session.type", f"this is a session of type {self.type}; its type cannot change")
        fixed = {"id": self.id, "object": self.object, "expires_at": self.expires_at}
        config, warnings = changed(self, {**changes, **fixed}, without_effect=self.without_effect)
        asked = _at(changes, "audio", "input")
        config._detection_chosen = self._detection_chosen or "turn_detection" in asked
        config._choose_defaults()
        warnings += _detection_warnings(config.input, _at(asked, "turn_detection"))
        if config.include and config.input.transcription and config.input.transcription.with_speakers:
            warnings.append(warned("no_effect", "session.include", f"it has no effect with {_WITH_SPEAKERS}"))
        return config, warnings

    def heard_as(self, model: str, language: str) -> Self:
        """Return the configuration with another model of the transcription, and another language, unless empty."""
        if not model and not language:
            return self
        settings = self.input.transcription or TranscriptionSettings(model=model or DEFAULT_MODEL)
        chosen = {"model": model or settings.model, "language": language or settings.language}
        return self.updated({"audio": {"input": {"transcription": chosen}}})[0]

    def _choose_defaults(self) -> None:
        """Set what depends on other settings, if the client has not chosen it."""


class SessionConfig(RealtimeConfig):
    """The configuration of a transcription session."""

    type: Literal["transcription"] = "transcription"
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"

    @classmethod
    def new(cls, id_: str, expires_at: int, model: str) -> SessionConfig:
        """Return the configuration of a session before the client changes it."""
        settings = TranscriptionSettings(model=model)
        audio = Audio(input=AudioInput(transcription=settings, turn_detection=_default_detection(settings)))
        return cls(id=id_, expires_at=expires_at, audio=audio)

    def _choose_defaults(self) -> None:
        if not self._detection_chosen:
            self.input.turn_detection = _default_detection(self.input.transcription)


def _default_detection(transcription: TranscriptionSettings | None) -> TurnDetection | None:
    return None if transcription and transcription.model in _CLIENT_COMMITS else TurnDetection()


def _detection_warnings(input_: AudioInput, asked: dict[str, Any]) -> list[ClientWarning]:
    """Return a warning for each field that the turn detection does not follow."""
    detection, path = input_.turn_detection, "session.audio.input.turn_detection"
    if not detection:
        return []
    warnings = [
        warned("no_effect", f"{path}.{name}", f"it has no effect with {detection.type}")
        for name in _OF_OTHER_TYPE[detection.type]
        if asked.get(name) is not None
    ]
    if detection.type == "semantic_vad" and not input_.transcription:
        milliseconds = detection.without_text.silence_duration_ms
        problem = f"without transcription, a turn ends after {milliseconds} ms of silence; what was said does not count"
        warnings.append(warned("no_effect", path, problem))
    return warnings


def _at(fields: Any, *path: str) -> dict[str, Any]:
    """Return the object at `path`; empty if there is none."""
    for name in path:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields if isinstance(fields, dict) else {}


def field_error(error: ValidationError, name: str) -> HttpError | InvalidInput:
    """Return the error of the first bad field of the object that the client calls `name`."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join((name, *map(str, first["loc"])))
    if first["type"] == "extra_forbidden":
        return BadRequest(f"unknown parameter: {path!r}", param=path, code="unknown_parameter")
    return InvalidInput(path, first["msg"].removeprefix("Value error, "))
