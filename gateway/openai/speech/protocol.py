"""The speech request and the events of its SSE response, in the order of OpenAI's reference."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from gateway.audio.formats import AudioFormat
from gateway.core.speech_options import SPEEDS, SynthesisRequest
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.speech.option_fields import OptionalText, Text, given_options, is_blank, with_option_fields
from gateway.speech_json import Speech

Granularity = Literal["word", "segment"]
SubtitleFormat = Literal["srt", "vtt"]


LANG_CODES: Final[Mapping[str, str]] = {
    "a": "en",
    "b": "en",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt",
    "z": "zh",
}
"""Kokoro's letters of languages; the accent of English is the voice's."""


class VoiceId(BaseModel):
    """A voice as an object."""

    id: Text


class OpenAISpeechBody(BaseModel):
    """The fields of OpenAI's speech request, and of other servers' that are no options of the models."""

    model_config = ConfigDict(extra="allow")

    input: Text = Field(
        description="The text to synthesize, at most MAX_LONG_INPUT_CHARS characters. `[pause 500ms]` is silence. "
        "A text that begins with `<speak>` is SSML."
    )
    model: Text | None = Field(
        None,
        max_length=256,
        description="A speech model's id or alias; `GET /v1/models` lists the ids. None: the first of them.",
    )
    voice: OptionalText | VoiceId = Field(
        None,
        description="A voice of the model, one of OpenAI's names, or, if the model mixes voices, a mix such as "
        "`af_bella(2)+af_sky(1)`, or the name or id of a registered voice. None: the model's default.",
    )
    instructions: OptionalText = Field(
        None, max_length=4096, description="The manner of speaking; for VoiceDesign models, the voice itself."
    )
    response_format: AudioFormat | None = Field(None, description="None: DEFAULT_RESPONSE_FORMAT.")
    sample_rate: int | None = Field(
        None,
        description="Of the file, 8000 to 48000 Hz in the usual steps. None: 24000 for pcm and opus, else the model's.",
    )
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1], description="Times the voice's own speed.")
    stream_format: Literal["audio", "sse"] = "audio"
    stream: bool | None = Field(
        None, description="`false`: the whole file at once, with its length, and with a summary in its headers."
    )
    timestamp_granularities: list[Granularity] | None = Field(
        None,
        description="Report the times of words, of segments (sentences), or of both: in events beside the audio with "
        "`stream_format` sse, in a JSON object with the audio with `stream: false`.",
    )
    subtitle_format: SubtitleFormat | None = Field(
        None, description="Make subtitles of the speech: in an event before the last, or in the same JSON object."
    )
    ref_audio: OptionalText = Field(
        None,
        description="The voice to clone, 1 to 30 s of speech: base64, a data URL, a file below REF_AUDIO_DIR, "
        "or its address if ALLOW_REF_AUDIO_URLS is set.",
    )

    volume_multiplier: float = Field(
        1.0,
        ge=0.01,
        le=10.0,
        description="Times the voice's own amplitude; where that is too loud, the level is lower.",
    )
    lang_code: OptionalText = Field(None, description="Kokoro's letter of a language, in place of `language`.")
    allow_voice_tags: bool = Field(
        False, description="Let tags such as `[voice:af_bella]` in `input` change the voice; else they are text."
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, fields: Any) -> Any:
        """Take null and blank fields for absent ones; but a blank text or model is a mistake."""
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if name in ("input", "model") or not is_blank(value)}

    @field_validator("lang_code")
    @classmethod
    def _letter(cls, letter: str | None) -> str | None:
        if letter is not None and letter not in LANG_CODES:
            raise ValueError(f"choose from: {', '.join(LANG_CODES)}; or send `language`")
        return letter

    @field_validator("stream")
    @classmethod
    def _without_events(cls, stream: bool | None, info: ValidationInfo) -> bool | None:
        if stream is False and info.data.get("stream_format") == "sse":
            raise ValueError("stream_format sse is a stream; leave one of the two out")
        return stream


if TYPE_CHECKING:

    class _WithOptions(OpenAISpeechBody):
        instruct: str | None
        language: str | None
else:
    _WithOptions = with_option_fields("OptionsBody", OpenAISpeechBody)


class SpeechBody(_WithOptions):
    """OpenAI's speech request, and the options of the models.

    Fields that are unknown, or have no effect with the model, are named in the header `x-tritone-ignored`.
    """

    @field_validator("instruct")
    @classmethod
    def _without_instructions(cls, instruct: str | None, info: ValidationInfo) -> str | None:
        if instruct is not None and info.data.get("instructions") is not None:
            raise ValueError("instructions was sent as well, which has the same meaning; send one of them")
        return instruct

    def request(self) -> SynthesisRequest:
        """Return the request of the use case."""
        return SynthesisRequest(
            text=self.input,
            model=self.model,
            voice=(self.voice.id if isinstance(self.voice, VoiceId) else self.voice) or "",
            speed=self.speed,
            options=given_options(
                self,
                instruct=self.instruct or self.instructions,
                language=self.language or LANG_CODES.get(self.lang_code or ""),
            ),
            ref_audio=self.ref_audio,
            audio_format=self.response_format,
            sample_rate=self.sample_rate,
            volume=self.volume_multiplier,
            tags=("pause", "voice") if self.allow_voice_tags else ("pause",),
            whole=self.stream is False,
            word_times=self.wants_times,
        )

    @property
    def wants_times(self) -> bool:
        """Whether the response has times of words or segments, or subtitles."""
        return bool(self.timestamp_granularities or self.subtitle_format)

    def client_field_name(self, name: str) -> str:
        """Return the field of this body that became the option or field `name` of the use case."""
        if name == "instruct":
            return "instruct" if self.instruct else "instructions"
        if name == "word_times":
            return "timestamp_granularities" if self.timestamp_granularities else "subtitle_format"
        if name == "language" and not self.language and self.lang_code:
            return "lang_code"
        return FIELD_NAMES.get(name, name)

    @property
    def unknown_fields(self) -> list[str]:
        """The names of the fields that the API does not have."""
        return sorted(self.model_extra or {})


class AudioDelta(BaseModel):
    """The next bytes of the audio file, in base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str

    @classmethod
    def of(cls, encoded: bytes) -> AudioDelta:
        """Return the event with `encoded`."""
        return cls(audio=base64.b64encode(encoded).decode("ascii"))


class TokenKinds(BaseModel):
    """Tokens by what they stand for."""

    text_tokens: int
    audio_tokens: int


class Usage(BaseModel):
    """Tokens of the text, and frames of the audio, in the model's own units; a recording to clone is not counted."""

    input_tokens: int
    input_token_details: TokenKinds
    output_tokens: int
    output_token_details: TokenKinds
    total_tokens: int

    @classmethod
    def of(cls, text: int, audio: int) -> Usage:
        """Return the usage of a text of `text` tokens, spoken in `audio` frames."""
        return cls(
            input_tokens=text,
            input_token_details=TokenKinds(text_tokens=text, audio_tokens=0),
            output_tokens=audio,
            output_token_details=TokenKinds(text_tokens=0, audio_tokens=audio),
            total_tokens=text + audio,
        )


class SpokenWord(BaseModel):
    """A word as the text has it, with its punctuation, and its times in seconds from the start of the audio."""

    word: str
    start: float
    end: float


class SpokenSegment(BaseModel):
    """A sentence, and its times in seconds from the start of the audio."""

    id: int
    text: str
    start: float
    end: float


class SpeechTimes(BaseModel):
    """The times of words and segments, as far as the request asks for them."""

    words: list[SpokenWord] | None = None
    segments: list[SpokenSegment] | None = None


class AudioTimestamps(SpeechTimes):
    """The times of words and segments that no event before had, in order; not in OpenAI's API."""

    type: Literal["speech.audio.timestamps"] = "speech.audio.timestamps"


class AudioSubtitles(BaseModel):
    """The subtitles of the whole speech; not in OpenAI's API."""

    type: Literal["speech.audio.subtitles"] = "speech.audio.subtitles"
    format: SubtitleFormat
    text: str


class TimedSpeech(Speech, SpeechTimes):
    """The whole speech as JSON, for `stream: false` with `timestamp_granularities` or `subtitle_format`."""

    subtitles: str | None = None


class AudioDone(BaseModel):
    """The end of the audio; `finish_reason`, not in OpenAI's API, is `stop` if the audio is complete."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage
    finish_reason: str
