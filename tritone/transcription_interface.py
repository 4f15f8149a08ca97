"""The interfaces of transcription models, and of the model for whole recordings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tritone.descriptions import WINDOW_SECONDS
from tritone.errors import InvalidInput
from tritone.interface import Interface, Tensor
from tritone.languages import is_auto
from tritone.options import LARGEST_INT, Options, check_range, option

LISTEN_RATE = 16_000
"""Hz; the input rate of transcription models."""
LONG_SECONDS = 4 * 3600
"""The longest recording of one request to `transcription-long`."""
PRIORITY_FIRST, PRIORITY_REST = 1, 2
"""Triton's priority of a recording's first window, and of the windows after it."""
PROMPT_CHARS = 4096
"""Characters of a prompt that are kept, counted from its end; models use about 200 tokens of it."""


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
    known_text: str = option(
        "",
        absent=str.isspace,
        doc="The words that are said in the audio: find their times. The transcript is this text, as one segment with "
        "the `word_*` outputs.",
    )
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
    clip: bool = option(
        False,
        doc="For audio that was not cut from a longer recording: a model may look at less than its whole window, where "
        "that gives the same text sooner.",
    )
    draft: bool = option(
        False, doc="For a text that a later one replaces, as of a turn that is not over: quick rather than good."
    )
    describe: bool = option(False, doc="Answer with `description` alone and transcribe nothing.")

    def check(self) -> None:
        """Raise `InvalidInput` for an unknown task or a number out of range."""
        if self.task not in ("transcribe", "translate"):
            raise InvalidInput("task", f"{self.task!r} is unknown; choose transcribe or translate")
        check_range("temperature", self.temperature, 0, 1)
        check_range("repetition_penalty", self.repetition_penalty, 0.5, 2)
        check_range("max_new_tokens", self.max_new_tokens, 1)
        check_range("seed", self.seed, 0, LARGEST_INT)


@dataclass(frozen=True, kw_only=True)
class LongTranscriptionOptions(TranscriptionOptions):
    """The request parameters of `transcription-long`."""

    model: str = option("", doc="The transcription model to use. Empty: the only one that is loaded.")
    condition_on_previous_text: bool = option(
        False,
        doc="Transcribe each window with the text before it as its prompt: one window after the other, not several at "
        "once.",
    )

    def check(self) -> None:
        """Raise `InvalidInput` as for one window, and for `known_text`, which no window's words can be told from."""
        super().check()
        if self.known_text:
            raise InvalidInput("known_text", "has no windows; send one window with its text to a transcription model")


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
