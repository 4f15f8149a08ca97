"""The contract between the models inside Triton and everyone who calls them over gRPC.

Four interfaces: `SPEECH` (text to speech; decoupled, a stream of responses), `VOICE_CLONE` (the same with a recording
of the voice), `TRANSCRIPTION` (speech to text; one window in, one response out) and `LONG_TRANSCRIPTION` (the same for
a recording of any length; decoupled, a response a window). Inputs that every request has are tensors. What a caller may
leave out travels as a request parameter, because an optional tensor that only some requests carry splits Triton's
batches.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tritone.errors import InvalidInput
from tritone.parameters import Options, option, within

DataType = Literal["BYTES", "FP32", "INT16", "INT32"]

SPEECH_RATE = 24_000
"""Hz; what every speech model here speaks at, and OpenAI's pcm format."""
LISTEN_RATE = 16_000
"""Hz; what a transcription model hears."""
WINDOW_SECONDS = 30
"""The longest audio that one transcription request may hold."""
LONG_SECONDS = 4 * 3600
"""The longest recording that one request to a `-long` model may hold."""
REFERENCE_SECONDS = 1, 30
"""The shortest and the longest recording that a voice may be cloned from."""
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


_SPEAKERS = ("kokoro-82m", "qwen3-tts-0.6b", "qwen3-tts-1.7b")
_INSTRUCTED = ("qwen3-tts-1.7b", "qwen3-tts-1.7b-design")
_CLONES = ("qwen3-tts-0.6b-clone", "qwen3-tts-1.7b-clone")
_SAMPLED = ("qwen3-tts-0.6b", *_INSTRUCTED, *_CLONES)
_WINDOWS, _LONG = ("<id>",), ("<id>-long",)


@dataclass(frozen=True, kw_only=True)
class SpeechOptions(Options):
    """The request parameters of a speech model. One that the model does not follow is refused, with its name."""

    voice: str = option(
        "",
        followed_by=_SPEAKERS,
        doc="A voice of the model, in any case. Empty: the model's default for the language.",
    )
    language: str = option("auto", doc="ISO 639-1 code or English name. `auto`: the voice's own, or the text's.")
    speed: float = option(
        1.0, unit="ratio", followed_by=("kokoro-82m",), doc="Within the model's `speed_range` (see `describe`)."
    )
    instruct: str = option(
        "", followed_by=_INSTRUCTED, doc="How to speak; for VoiceDesign, which needs it, whose voice it is."
    )
    ref_text: str = option("", followed_by=_CLONES, doc="The words of `ref_audio`, needed unless `x_vector_only`.")
    x_vector_only: bool = option(
        False,
        followed_by=_CLONES,
        doc="Take the voice's colour alone from `ref_audio`, not its manner; `ref_text` is then not used.",
    )
    temperature: float | None = option(
        None, unit="0-2", followed_by=_SAMPLED, doc="Sampling temperature; 0: always the likeliest code."
    )
    top_k: int | None = option(None, unit="codes", followed_by=_SAMPLED, doc="Sample from so many; 0: from all.")
    top_p: float | None = option(
        None, unit="0-1", followed_by=_SAMPLED, doc="Sample from the likeliest of this probability together."
    )
    subtalker_temperature: float | None = option(
        None,
        unit="0-2",
        followed_by=_SAMPLED,
        doc="As `temperature`, for the other 15 codes of a frame: how it sounds. 0 unless it is set where that is 0.",
    )
    subtalker_top_k: int | None = option(None, unit="codes", followed_by=_SAMPLED, doc="As `top_k`, for those.")
    subtalker_top_p: float | None = option(None, unit="0-1", followed_by=_SAMPLED, doc="As `top_p`, for those.")
    repetition_penalty: float | None = option(
        None, unit="0.5-2", followed_by=_SAMPLED, doc="Above 1: codes that were spoken become less likely."
    )
    max_new_tokens: int | None = option(
        None,
        unit="tokens",
        followed_by=_SAMPLED,
        doc="Cut the speech there, at 2 or more; a token is a frame of 80 ms, and the last one is not spoken.",
    )
    streaming_text: bool | None = option(
        None,
        followed_by=_SAMPLED,
        doc="Read the text while speaking, which sounds sooner, or all of it before. None: as the published package "
        "does, in which only clones read on.",
    )
    seed: int | None = option(
        None,
        followed_by=_SAMPLED,
        doc="The same seed and request give the same audio on the same machine. Beside other requests its samples may "
        "be rounded otherwise, by 1 of 32767; on a GPU in rare cases a code may.",
    )
    describe: bool = option(False, doc="Answer with `description` alone and speak nothing.")

    def check(self) -> None:
        """Raise `InvalidInput` for a number out of range."""
        for of in ("", "subtalker_"):
            within(f"{of}temperature", getattr(self, f"{of}temperature"), 0, 2)
            within(f"{of}top_k", getattr(self, f"{of}top_k"), 0)
            within(f"{of}top_p", getattr(self, f"{of}top_p"), 0.01, 1)
        within("repetition_penalty", self.repetition_penalty, 0.5, 2)
        within("max_new_tokens", self.max_new_tokens, 2)
        within("seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions(Options):
    """The request parameters of a transcription model."""

    language: str = option(
        "auto",
        doc="ISO 639-1 code or English name. `auto`: detected from the audio; several, with commas between: the "
        "likeliest of these.",
    )
    task: str = option("transcribe", doc="`transcribe`, or `translate` into English.")
    prompt: str = option("", doc="Text that comes before the audio, to guide spelling and style.")
    hotwords: str = option("", doc="Words to expect, such as names, in any order.")
    temperature: float = option(
        0.0,
        unit="0-1",
        doc="Sampling temperature. At 0 the model decodes by beam search, and falls back to higher ones.",
    )
    word_timestamps: bool = option(False, doc="Also give the `word_*` outputs.")
    logprobs: bool = option(False, doc="Also give `token_logprobs` and `token_text`.")
    condition_on_previous_text: bool = option(
        False,
        followed_by=_LONG,
        doc="Hear each window with the text before it as its prompt: one after the other, not several at once.",
    )
    background: bool = option(
        False,
        followed_by=_WINDOWS,
        doc="For the windows of a recording after its first: nobody waits for them. They are heard beside the others, "
        "in batches of their own.",
    )

    def check(self) -> None:
        """Raise `InvalidInput` for an unknown task or a temperature outside 0-1."""
        if self.task not in ("transcribe", "translate"):
            raise InvalidInput("task", f"{self.task!r} is unknown; choose transcribe or translate")
        within("temperature", self.temperature, 0, 1)


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
            "`stop`: all was spoken; `length`: cut at the frame limit; `runaway`: stopped by a guard.",
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

VOICE_CLONE = dataclasses.replace(
    SPEECH,
    inputs=(
        *SPEECH.inputs,
        Tensor(
            "ref_audio",
            "FP32",
            (-1,),
            "samples",
            f"The voice to clone: mono, {SPEECH_RATE} Hz, -1 to 1, "
            f"{REFERENCE_SECONDS[0]} to {REFERENCE_SECONDS[1]} s. Only `describe` goes without.",
        ),
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
        Tensor(
            "language_probability",
            "FP32",
            (1,),
            "0-1",
            "1 for a language given; among candidates, their share.",
        ),
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
        Tensor(
            "token_logprobs",
            "FP32",
            (-1,),
            "nats",
            "Only for `logprobs`: log probability of each of `token_ids`, given the audio and the text before it in "
            "the window; 0 for those that are no text.",
        ),
        Tensor(
            "token_text",
            "BYTES",
            (-1,),
            "bytes",
            "Only for `logprobs`: the UTF-8 of each of `token_ids`, which may be a part of a character; empty for "
            "those that are no text.",
        ),
        Tensor("word_start", "FP32", (-1,), "s", "Start of each word, from the window's start."),
        Tensor("word_end", "FP32", (-1,), "s", "End of each word."),
        Tensor("word_text", "BYTES", (-1,), "UTF-8", "Each word, with its leading space and its punctuation."),
        Tensor("word_probability", "FP32", (-1,), "0-1", "Mean probability of the word's tokens."),
    ),
)

LONG_TRANSCRIPTION = Interface(
    inputs=(
        Tensor(
            "audio",
            "FP32",
            (-1,),
            "samples",
            f"The whole recording: mono, {LISTEN_RATE} Hz, -1 to 1, at most {LONG_SECONDS // 3600} hours.",
        ),
    ),
    options=TranscriptionOptions,
    outputs=(
        *TRANSCRIPTION.outputs,
        Tensor("window_start", "FP32", (1,), "s", "Start of this response's window, from the recording's start."),
        Tensor("window_seconds", "FP32", (1,), "s", "The window's length."),
    ),
)

INTERFACES: Mapping[str, Interface] = {
    "speech": SPEECH,
    "voice_clone": VOICE_CLONE,
    "transcription": TRANSCRIPTION,
}


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
    follows: tuple[str, ...] = ("voice", "language", "speed")
    """The options that the model follows; it refuses a request that sets another."""

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
            follows=tuple(data["follows"]),
        )
