"""The contract between the models inside Triton and their gRPC clients.

Six interfaces: `SPEECH` (text to speech; decoupled, a stream of responses), `VOICE_CLONE` (the same with a recording of
the voice), `TRANSCRIPTION` (speech to text; one window in, one response out), `STREAMED_TRANSCRIPTION` (the same with
the text as it is decoded; decoupled), `LONG_TRANSCRIPTION` (the same for a recording of any length; decoupled, one
response for each window) and `SERVER` (the models of a server). Inputs that every request has are tensors. Optional
values travel as request parameters, because an optional tensor that only some requests carry splits Triton's batches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tritone.descriptions import WINDOW_SECONDS, SpeechDescription, TranscriptionDescription, Voice
from tritone.errors import InvalidInput
from tritone.languages import is_auto
from tritone.options import Options, check_range, option

__all__ = [
    "INTERFACES",
    "LISTEN_RATE",
    "LONG_SECONDS",
    "LONG_TRANSCRIPTION",
    "PRIORITY_FIRST",
    "PRIORITY_REST",
    "PROMPT_CHARS",
    "REFERENCE_SECONDS",
    "SERVER",
    "SPEECH",
    "SPEECH_RATE",
    "STREAMED_TRANSCRIPTION",
    "TRANSCRIPTION",
    "VOICE_CLONE",
    "WINDOW_SECONDS",
    "DataType",
    "Interface",
    "InterfaceName",
    "LongTranscriptionOptions",
    "ServerOptions",
    "SpeechDescription",
    "SpeechOptions",
    "Tensor",
    "TranscriptionDescription",
    "TranscriptionOptions",
    "Voice",
]

DataType = Literal["BYTES", "FP32", "INT16", "INT32"]

SPEECH_RATE = 24_000
"""Hz; the output rate of every speech model here, and of OpenAI's pcm format."""
LISTEN_RATE = 16_000
"""Hz; the input rate of transcription models."""
LONG_SECONDS = 4 * 3600
"""The longest recording of one request to `transcription-long`."""
REFERENCE_SECONDS = 1, 30
"""The shortest and the longest reference audio of a cloned voice."""
PRIORITY_FIRST, PRIORITY_REST = 1, 2
"""Triton's priority of a recording's first window, and of the windows after it."""
PING_SECONDS = 20
"""Seconds of silence after which a gateway sends a ping to a server; the server must accept them at this rate."""
PROMPT_CHARS = 4096
"""Characters of a prompt that are kept, counted from its end; models use about 200 tokens of it."""


@dataclass(frozen=True)
class Tensor:
    """A named tensor; `shape` has no batch dimension, -1 is any length."""

    name: str
    dtype: DataType
    shape: tuple[int, ...]
    unit: str
    doc: str
    optional: bool = False
    """An input that a request may leave out."""


@dataclass(frozen=True)
class Interface:
    """The inputs, options and outputs of one kind of model."""

    inputs: tuple[Tensor, ...]
    options: type[Options]
    outputs: tuple[Tensor, ...]
    final_outputs: tuple[Tensor, ...] = ()
    """Outputs of the last response of a stream only."""
    decoupled: bool = True
    """True: a request gets a stream of responses; False: exactly one response."""


@dataclass(frozen=True, kw_only=True)
class SpeechOptions(Options):
    """The request parameters of a speech model. A model rejects an option that it does not support, by its name."""

    voice: str = option(
        "", doc="A voice of the model, or a mix (see `describe`), in any case. Empty: the default for the language."
    )
    language: str = option(
        "auto",
        absent=is_auto,
        doc="ISO 639 code, BCP-47 tag or English name. `auto`: the voice's language, or the text's.",
    )
    speed: float = option(1.0, unit="ratio", doc="Within the model's `speed_range` (see `describe`).")
    instruct: str = option("", doc="The manner of speaking; for VoiceDesign, which needs it, the voice itself.")
    ref_text: str = option("", doc="The words of `ref_audio`, needed unless `x_vector_only` is set.")
    x_vector_only: bool = option(
        False, doc="Take only the timbre from `ref_audio`, not the manner; `ref_text` is then not used."
    )
    temperature: float | None = option(
        None, unit="0-2", group="sampling", doc="Sampling temperature; 0: always the most probable code."
    )
    top_k: int | None = option(
        None, unit="codes", group="sampling", doc="Sample from the `top_k` most probable codes; 0: from all."
    )
    top_p: float | None = option(
        None, unit="0-1", group="sampling", doc="Sample from the most probable codes that together reach `top_p`."
    )
    subtalker_temperature: float | None = option(
        None,
        unit="0-2",
        group="sampling",
        doc="As `temperature`, for the other 15 codes of a frame. Not set: 0 where `temperature` is 0.",
    )
    subtalker_top_k: int | None = option(
        None, unit="codes", group="sampling", doc="As `top_k`, for the other 15 codes of a frame."
    )
    subtalker_top_p: float | None = option(
        None, unit="0-1", group="sampling", doc="As `top_p`, for the other 15 codes of a frame."
    )
    repetition_penalty: float | None = option(
        None, unit="0.5-2", group="sampling", doc="Above 1, codes that were already used become less probable."
    )
    max_new_tokens: int | None = option(
        None,
        unit="tokens",
        group="sampling",
        doc="End the speech after this many tokens, 2 or more; a token is a frame of 80 ms; the last one is silent.",
    )
    streaming_text: bool | None = option(
        None,
        group="sampling",
        doc="Read the text while synthesizing, which gives audio sooner, or all of it first. Not set: as the published "
        "package does, which reads the text of voice clones while synthesizing, and other texts first.",
    )
    seed: int | None = option(
        None,
        group="sampling",
        doc="Not set: random. The same seed and request give the same audio on the same machine. Beside other requests "
        "a sample may be rounded differently, by 1 of 32767; on a GPU, in rare cases, a code may differ.",
    )
    describe: bool = option(False, doc="Answer with `description` alone and synthesize nothing.")

    def check(self) -> None:
        """Raise `InvalidInput` for a number out of range."""
        for prefix in ("", "subtalker_"):
            check_range(f"{prefix}temperature", getattr(self, f"{prefix}temperature"), 0, 2)
            check_range(f"{prefix}top_k", getattr(self, f"{prefix}top_k"), 0)
            check_range(f"{prefix}top_p", getattr(self, f"{prefix}top_p"), 0.01, 1)
        check_range("repetition_penalty", self.repetition_penalty, 0.5, 2)
        check_range("max_new_tokens", self.max_new_tokens, 2)
        check_range("seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions(Options):
    """The request parameters of a transcription model. A model rejects an option that it does not support."""

    language: str = option(
        "auto",
        absent=is_auto,
        doc="ISO 639 code, BCP-47 tag or English name. `auto`: detected from the audio; several, separated by commas: "
        "the most probable of these.",
    )
    task: str = option("transcribe", doc="`transcribe`, or `translate` into English.")
    prompt: str = option("", doc="Text that comes before the audio, to guide spelling and style.")
    hotwords: str = option("", doc="Words to expect, such as names, in any order.")
    temperature: float | None = option(
        None,
        unit="0-1",
        doc="Sampling temperature. At 0, and where it is not set, Whisper decodes by beam search, and falls back to "
        "higher ones.",
    )
    word_timestamps: bool = option(False, doc="Also return the `word_*` outputs.")
    logprobs: bool = option(False, doc="Also return `token_logprobs` and `token_text`.")
    repetition_penalty: float | None = option(
        None, unit="0.5-2", doc="Above 1, tokens that were already used, in the prompt too, become less probable."
    )
    max_new_tokens: int | None = option(None, unit="tokens", doc="End the text of a window after this many tokens.")
    seed: int | None = option(
        None, doc="Of sampling. Not set: random. The same seed and request give the same text on the same machine."
    )
    partial_text: bool = option(
        False, doc="Also send each piece of the text as it is decoded, in `text_delta` of responses of its own."
    )
    background: bool = option(
        False,
        doc="For the windows of a recording after its first: they are transcribed in batches of their own, beside the "
        "windows that a client waits for.",
    )
    describe: bool = option(False, doc="Answer with `description` alone and transcribe nothing.")

    def check(self) -> None:
        """Raise `InvalidInput` for an unknown task or a number out of range."""
        if self.task not in ("transcribe", "translate"):
            raise InvalidInput("task", f"{self.task!r} is unknown; choose transcribe or translate")
        check_range("temperature", self.temperature, 0, 1)
        check_range("repetition_penalty", self.repetition_penalty, 0.5, 2)
        check_range("max_new_tokens", self.max_new_tokens, 1)
        check_range("seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True)
class LongTranscriptionOptions(TranscriptionOptions):
    """The request parameters of `transcription-long`."""

    model: str = option("", doc="The transcription model to use. Empty: the only one that is loaded.")
    condition_on_previous_text: bool = option(
        False,
        doc="Transcribe each window with the text before it as its prompt: one window after the other, not several at "
        "once.",
    )


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """The request parameters of the `tritone` model."""

    version: int = option(-1, doc="The version that the client has; while it is the current one, the request waits.")
    wait_seconds: float = option(0.0, unit="s", doc="The longest wait for a change, at most 30; 0: answer at once.")
    load: str = option(
        "", doc="The id of a model that is in use: if it is idle it is loaded, and it counts as used at this moment."
    )

    def check(self) -> None:
        """Raise `InvalidInput` for a wait that is too long."""
        check_range("wait_seconds", self.wait_seconds, 0, 30)


SPEECH = Interface(
    inputs=(Tensor("text", "BYTES", (1,), "UTF-8", "The text to synthesize."),),
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
            "`stop`: complete; `length`: ended at the frame limit; `runaway`: ended by a guard.",
        ),
        Tensor("text_tokens", "INT32", (1,), "tokens", "The text's length in the model's own tokens."),
        Tensor("audio_frames", "INT32", (1,), "frames", "Frames of audio, in the model's own unit."),
        Tensor("queue_seconds", "FP32", (1,), "s", "From arrival in the model to the start of work."),
        Tensor(
            "first_audio_seconds",
            "FP32",
            (1,),
            "s",
            "From arrival in the model to the first audio sent (TTFA).",
        ),
        Tensor("total_seconds", "FP32", (1,), "s", "From arrival in the model to the last audio sent."),
        Tensor("description", "BYTES", (1,), "JSON", "Only for `describe`: voices, languages, options, speed range."),
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
            f"{REFERENCE_SECONDS[0]} to {REFERENCE_SECONDS[1]} s. Only `describe` needs none.",
            optional=True,
        ),
    ),
)

_OPTIONAL = " Empty where the model has no such number; NaN where a segment has none."

TRANSCRIPTION = Interface(
    inputs=(
        Tensor(
            "audio",
            "FP32",
            (-1,),
            "samples",
            f"Mono, {LISTEN_RATE} Hz, -1 to 1, at most the model's `window_seconds` (see `describe`), usually "
            f"{WINDOW_SECONDS} s ({WINDOW_SECONDS * LISTEN_RATE} samples).",
        ),
    ),
    options=TranscriptionOptions,
    outputs=(
        Tensor("language", "BYTES", (1,), "ISO 639-1", "The language given, or the one detected; empty if none was."),
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
        Tensor("segment_temperature", "FP32", (-1,), "0-1", f"The segment's sampling temperature.{_OPTIONAL}"),
        Tensor(
            "segment_avg_logprob",
            "FP32",
            (-1,),
            "nats",
            f"Mean log probability of the segment's tokens.{_OPTIONAL}",
        ),
        Tensor(
            "segment_compression_ratio",
            "FP32",
            (-1,),
            "ratio",
            f"Text length over its zlib length; high: repetition.{_OPTIONAL}",
        ),
        Tensor("segment_no_speech_prob", "FP32", (-1,), "0-1", f"Probability of no speech.{_OPTIONAL}"),
        Tensor("segment_token_count", "INT32", (-1,), "tokens", "The number of `token_ids` in each segment."),
        Tensor("segment_word_count", "INT32", (-1,), "words", "The number of `word_*` rows in each segment."),
        Tensor("token_ids", "INT32", (-1,), "tokens", "The tokens of all segments, one after the other."),
        Tensor(
            "token_logprobs",
            "FP32",
            (-1,),
            "nats",
            "Only for `logprobs`: log probability of each of `token_ids`, given the audio and the text before it in "
            "the window; 0 for tokens that are not text.",
        ),
        Tensor(
            "token_text",
            "BYTES",
            (-1,),
            "bytes",
            "Only for `logprobs`: the UTF-8 of each of `token_ids`, which may be a part of a character; empty for "
            "tokens that are not text.",
        ),
        Tensor("word_start", "FP32", (-1,), "s", "Start of each word, from the window's start."),
        Tensor("word_end", "FP32", (-1,), "s", "End of each word."),
        Tensor("word_text", "BYTES", (-1,), "UTF-8", "Each word, with its leading space and its punctuation."),
        Tensor("word_probability", "FP32", (-1,), "0-1", "Mean probability of the word's tokens."),
        Tensor("description", "BYTES", (1,), "JSON", "Only for `describe`: languages, tasks, options."),
    ),
    decoupled=False,
)

STREAMED_TRANSCRIPTION = dataclasses.replace(
    TRANSCRIPTION,
    outputs=(
        Tensor(
            "text_delta",
            "BYTES",
            (1,),
            "UTF-8",
            "Only for `partial_text`: the next piece of the text. All pieces together are the text of all segments.",
        ),
    ),
    final_outputs=TRANSCRIPTION.outputs,
    decoupled=True,
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
    options=LongTranscriptionOptions,
    outputs=(
        *(tensor for tensor in TRANSCRIPTION.outputs if tensor.name != "description"),
        Tensor("window_start", "FP32", (1,), "s", "Start of this response's window, from the recording's start."),
        Tensor("window_seconds", "FP32", (1,), "s", "The window's length."),
    ),
)

SERVER = Interface(
    inputs=(),
    options=ServerOptions,
    outputs=(Tensor("document", "BYTES", (1,), "JSON", "The models of this server and their states."),),
)

InterfaceName = Literal[
    "speech", "voice_clone", "transcription", "streamed_transcription", "long_transcription", "server"
]
INTERFACES: Mapping[InterfaceName, Interface] = {
    "speech": SPEECH,
    "voice_clone": VOICE_CLONE,
    "transcription": TRANSCRIPTION,
    "streamed_transcription": STREAMED_TRANSCRIPTION,
    "long_transcription": LONG_TRANSCRIPTION,
    "server": SERVER,
}
