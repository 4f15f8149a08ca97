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

from tritone import emotions
from tritone.descriptions import WINDOW_SECONDS, SpeechDescription, TranscriptionDescription, Voice
from tritone.interface import DataType, Interface, Tensor
from tritone.languages import is_auto
from tritone.options import LARGEST_INT, Options, check_range, option
from tritone.server_interface import PING_SECONDS, SERVER, ServerOptions
from tritone.transcription_interface import (
    LISTEN_RATE,
    LONG_SECONDS,
    LONG_TRANSCRIPTION,
    PRIORITY_FIRST,
    PRIORITY_REST,
    PROMPT_CHARS,
    STREAMED_TRANSCRIPTION,
    TRANSCRIPTION,
    LongTranscriptionOptions,
    TranscriptionOptions,
)
from tritone.voice_key import check_voice_key

__all__ = [
    "INTERFACES",
    "LISTEN_RATE",
    "LONG_SECONDS",
    "LONG_TRANSCRIPTION",
    "PING_SECONDS",
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

SPEECH_RATE = 24_000
"""Hz; the usual output rate of speech models, and that of OpenAI's pcm format and of reference audio."""
REFERENCE_SECONDS = 1, 30
"""The shortest and the longest reference audio of a cloned voice."""


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
    emotions: str = option(
        "",
        unit="JSON",
        to_json=emotions.to_json,
        doc=f"Weights from 0 to 1 of emotions: 8 numbers in this order, or an object with these names: "
        f"{', '.join(emotions.EMOTIONS)}. Zonos takes their ratio; Qwen3-TTS adds words for the strongest "
        "ones to `instruct`.",
    )
    speaking_rate: float | None = option(None, unit="phonemes/s", doc="0 to 40; 10 is slow, 15 usual, 30 very fast.")
    pitch_std: float | None = option(
        None, unit="Hz", doc="Standard deviation of the pitch, 0 to 400; 20 to 45 is usual, 60 to 150 expressive."
    )
    ref_text: str = option("", doc="The words of `ref_audio`, needed unless `x_vector_only` is set.")
    x_vector_only: bool = option(
        False, doc="Take only the timbre from `ref_audio`, not the manner; `ref_text` is then not used."
    )
    voice_key: str = option(
        "",
        doc="The key of the voice in `ref_audio` and `ref_text` (see below). Later requests may carry it instead of "
        "these: see `unknown_voice`.",
    )
    temperature: float | None = option(
        None, unit="0-2", group="sampling", doc="Sampling temperature; 0: always the most probable code."
    )
    top_k: int | None = option(
        None, unit="codes", group="sampling", doc="Sample from the `top_k` most probable codes; 0: from all."
    )
    top_p: float | None = option(
        None, unit="0.01-1", group="sampling", doc="Sample from the most probable codes that together reach `top_p`."
    )
    min_p: float | None = option(
        None, unit="0-1", doc="Sample from codes of at least this share of the most probable one's probability."
    )
    cfg_scale: float | None = option(
        None, unit="1-10", doc="Strength of classifier-free guidance: above 1, the voice and the text count for more."
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
        None, unit="0.01-1", group="sampling", doc="As `top_p`, for the other 15 codes of a frame."
    )
    repetition_penalty: float | None = option(
        None, unit="0.5-2", group="sampling", doc="Above 1, codes that were already used become less probable."
    )
    max_new_tokens: int | None = option(
        None,
        unit="tokens",
        group="sampling",
        doc="End the speech after this many tokens, 2 or more: frames of 80 ms, the last one silent, of Qwen3-TTS; of "
        "11.6 ms of Zonos.",
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
    nfe_step: int | None = option(
        None,
        unit="steps",
        doc="Of models that refine a whole part of the text at once: the number of refining steps, 1 to 128; fewer are "
        "faster, more are better. Not set: 32.",
    )
    cfg_strength: float | None = option(
        None,
        unit="0-10",
        doc="Of the same models: how strongly text and voice guide the audio; 0: no guidance, which takes half the "
        "work. Not set: 2.",
    )
    word_timestamps: bool = option(False, doc="Also return the `word_*` outputs.")
    describe: bool = option(False, doc="Answer with `description` alone and synthesize nothing.")

    def check(self) -> None:
        """Raise `InvalidInput` for a number out of range, or a text that is no key."""
        for prefix in ("", "subtalker_"):
            check_range(f"{prefix}temperature", getattr(self, f"{prefix}temperature"), 0, 2)
            check_range(f"{prefix}top_k", getattr(self, f"{prefix}top_k"), 0)
            check_range(f"{prefix}top_p", getattr(self, f"{prefix}top_p"), 0.01, 1)
        check_range("repetition_penalty", self.repetition_penalty, 0.5, 2)
        check_range("max_new_tokens", self.max_new_tokens, 2)
        check_range("seed", self.seed, 0, LARGEST_INT)
        check_range("speaking_rate", self.speaking_rate, 0, 40)
        check_range("pitch_std", self.pitch_std, 0, 400)
        check_range("min_p", self.min_p, 0, 1)
        check_range("cfg_scale", self.cfg_scale, 1, 10)
        if self.voice_key:
            check_voice_key("voice_key", self.voice_key)
        check_range("nfe_step", self.nfe_step, 1, 128)
        check_range("cfg_strength", self.cfg_strength, 0, 10)


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
        Tensor(
            "word_text",
            "BYTES",
            (-1,),
            "UTF-8",
            "Only for `word_timestamps`: each word that this `audio` speaks, as the text has it, with its punctuation "
            "and the space before it. A character of a script without spaces is a word.",
        ),
        Tensor("word_start", "FP32", (-1,), "s", "Start of each word, from the start of the whole speech."),
        Tensor("word_end", "FP32", (-1,), "s", "End of each word."),
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
            f"{REFERENCE_SECONDS[0]} to {REFERENCE_SECONDS[1]} s. `describe` needs none, "
            "nor does a `voice_key` that the model holds.",
            optional=True,
        ),
    ),
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
