"""The contract between the models inside Triton and everyone who calls them over gRPC.

Two interfaces: `SPEECH` (text to speech; decoupled, a stream of responses) and `TRANSCRIPTION` (speech to text; one
window in, one response out). Inputs that every request has are tensors. What a caller may leave out travels as a
request parameter, because an optional tensor that only some requests carry splits Triton's batches.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tritone.errors import InvalidInput

DataType = Literal["BYTES", "FP32", "INT16", "INT32"]
Value = str | bool | int | float
"""What a request parameter may hold on the wire."""

SPEECH_RATE = 24_000
"""Hz; what every speech model here speaks at, and OpenAI's pcm format."""
LISTEN_RATE = 16_000
"""Hz; what a transcription model hears."""
WINDOW_SECONDS = 30
"""The longest audio that one transcription request may hold."""
PRIORITY_FIRST, PRIORITY_REST = 1, 2
"""Triton's priority of a recording's first window, and of those that follow."""


@dataclass(frozen=True)
class Tensor:
    """One named tensor; `shape` leaves out the batch dimension, -1 is any length."""

    name: str
    dtype: DataType
    shape: tuple[int, ...]
    unit: str
    doc: str


@dataclass(frozen=True)
class Interface:
    """What a kind of model takes and gives."""

    inputs: tuple[Tensor, ...]
    options: type[Options]
    outputs: tuple[Tensor, ...]
    final_outputs: tuple[Tensor, ...] = ()
    """Outputs that only the last response of a stream carries."""


def option(default: Value, *, unit: str = "", doc: str) -> Any:
    """A field of an `Options` class: the default, and what its documentation says."""
    return field(default=default, metadata={"unit": unit, "doc": doc})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the request parameters of an interface: each field is one parameter."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Read a request's parameters; numbers may come as text, as perf_analyzer sends them.

        Raises `InvalidInput` with the parameter's name for one that is unknown, of the wrong type or out of range.
        Parameters that Triton itself uses (`triton_...`) are passed over.
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        values = {}
        for name, value in parameters.items():
            if name.startswith("triton_"):
                continue
            if name not in fields:
                raise InvalidInput(name, f"unknown parameter; there are: {', '.join(fields)}")
            values[name] = _typed(name, value, type(fields[name].default))
        options = cls(**values)
        options.check()
        return options

    def to_parameters(self) -> dict[str, Value]:
        """The parameters that differ from the defaults."""
        return {f.name: value for f in dataclasses.fields(self) if (value := getattr(self, f.name)) != f.default}

    def check(self) -> None:
        """Raise `InvalidInput` for a value out of range."""


@dataclass(frozen=True, kw_only=True)
class SpeechOptions(Options):
    """The request parameters of a speech model."""

    voice: str = option("", doc="A voice of the model, in any case. Empty: the model's default for the language.")
    language: str = option("auto", doc="ISO 639-1 code or English name. `auto`: the voice's own, or the text's.")
    speed: float = option(1.0, unit="ratio", doc="Within the model's `speed_range` (see `describe`).")
    describe: bool = option(False, doc="Answer with `description` alone and speak nothing.")


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions(Options):
    """The request parameters of a transcription model."""

    language: str = option("auto", doc="ISO 639-1 code or English name. `auto`: detected from this window.")
    task: str = option("transcribe", doc="`transcribe`, or `translate` into English.")
    prompt: str = option("", doc="Text that comes before the audio, to guide spelling and style.")
    temperature: float = option(
        0.0,
        unit="0-1",
        doc="Sampling temperature. At 0 the model decodes by beam search, and falls back to higher ones.",
    )
    word_timestamps: bool = option(False, doc="Also give the `word_*` outputs.")

    def check(self) -> None:
        """Raise `InvalidInput` for an unknown task or a temperature outside 0-1."""
        if self.task not in ("transcribe", "translate"):
            raise InvalidInput("task", f"{self.task!r} is unknown; choose transcribe or translate")
        if not 0.0 <= self.temperature <= 1.0:
            raise InvalidInput("temperature", f"{self.temperature} is out of range; choose 0 to 1")


SPEECH = Interface(
    inputs=(Tensor("text", "BYTES", (1,), "UTF-8", "What to speak."),),
    options=SpeechOptions,
    outputs=(
        Tensor(
            "audio",
            "INT16",
            (-1,),
            "samples",
            "The next piece of mono audio; may be empty in the last response.",
        ),
        Tensor("sample_rate", "INT32", (1,), "Hz", "The rate of `audio`."),
    ),
    final_outputs=(
        Tensor(
            "finish_reason",
            "BYTES",
            (1,),
            "",
            "`stop`: all was spoken; `length`: cut at the frame limit; `runaway`: stopped by a guard; `cancelled`.",
        ),
        Tensor("text_tokens", "INT32", (1,), "tokens", "What the text came to in the model's own tokens."),
        Tensor("audio_frames", "INT32", (1,), "frames", "The model's own frames that were spoken."),
        Tensor("queue_seconds", "FP32", (1,), "s", "From arrival in the model to the start of work."),
        Tensor(
            "first_audio_seconds",
            "FP32",
            (1,),
            "s",
            "From arrival in the model to the first audio sent (TTFA).",
        ),
        Tensor("total_seconds", "FP32", (1,), "s", "From arrival in the model to the last audio sent."),
        Tensor("description", "BYTES", (1,), "JSON", "Only for `describe`: voices, languages, speed range."),
    ),
)

TRANSCRIPTION = Interface(
    inputs=(
        Tensor(
            "audio",
            "FP32",
            (-1,),
            "samples",
            f"Mono, {LISTEN_RATE} Hz, -1 to 1, at most {WINDOW_SECONDS} s ({WINDOW_SECONDS * LISTEN_RATE} samples).",
        ),
    ),
    options=TranscriptionOptions,
    outputs=(
        Tensor("language", "BYTES", (1,), "ISO 639-1", "The language given, or the one detected."),
        Tensor("language_probability", "FP32", (1,), "0-1", "1 where the language was given."),
        Tensor("segment_start", "FP32", (-1,), "s", "Start of each segment, from the window's start."),
        Tensor("segment_end", "FP32", (-1,), "s", "End of each segment."),
        Tensor("segment_text", "BYTES", (-1,), "UTF-8", "Text of each segment, with its leading space."),
        Tensor("segment_temperature", "FP32", (-1,), "0-1", "The temperature that gave the segment."),
        Tensor("segment_avg_logprob", "FP32", (-1,), "nats", "Mean log probability of the segment's tokens."),
        Tensor(
            "segment_compression_ratio",
            "FP32",
            (-1,),
            "ratio",
            "Text length over its zlib length; high: repeats.",
        ),
        Tensor("segment_no_speech_prob", "FP32", (-1,), "0-1", "Probability that there is no speech."),
        Tensor("segment_token_count", "INT32", (-1,), "tokens", "How many of `token_ids` each segment has."),
        Tensor("segment_word_count", "INT32", (-1,), "words", "How many of the `word_*` rows each segment has."),
        Tensor("token_ids", "INT32", (-1,), "tokens", "The tokens of all segments, one after the other."),
        Tensor("word_start", "FP32", (-1,), "s", "Start of each word, from the window's start."),
        Tensor("word_end", "FP32", (-1,), "s", "End of each word."),
        Tensor("word_text", "BYTES", (-1,), "UTF-8", "Each word, with its leading space and its punctuation."),
        Tensor("word_probability", "FP32", (-1,), "0-1", "Mean probability of the word's tokens."),
    ),
)

INTERFACES: Mapping[str, Interface] = {"speech": SPEECH, "transcription": TRANSCRIPTION}


@dataclass(frozen=True)
class Voice:
    """One voice of a speech model; `language` is its ISO 639-1 code, `auto` where it speaks any."""

    id: str
    name: str
    language: str = "auto"


@dataclass(frozen=True)
class SpeechDescription:
    """What a speech model can do, as its `description` output tells."""

    voices: tuple[Voice, ...]
    languages: tuple[str, ...]
    default_voice: str
    speed_range: tuple[float, float]
    """The speeds that the model speaks at by itself."""

    def to_json(self) -> str:
        """The text of the `description` tensor."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> SpeechDescription:
        """Undo `to_json`."""
        data = json.loads(text)
        low, high = data["speed_range"]
        return cls(
            voices=tuple(Voice(**voice) for voice in data["voices"]),
            languages=tuple(data["languages"]),
            default_voice=data["default_voice"],
            speed_range=(low, high),
        )


def _typed(name: str, value: Any, kind: type) -> Value:
    """`value` as a parameter of type `kind`, or `InvalidInput`."""
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    elif isinstance(value, kind):
        assert isinstance(value, Value)
        return value
    words = {bool: "true or false", float: "a finite number", str: "text"}
    raise InvalidInput(name, f"{value!r} is not {words[kind]}")
