"""The settings that the models read, from the environment of the server: each with its default and its meaning."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", str, int)


class UnusableSettingError(ValueError):
    """A setting says what it cannot; the message names it, and what would be right."""


@dataclass(frozen=True)
class Setting(Generic[T]):
    """An environment variable."""

    name: str
    default: T
    description: str
    choices: tuple[str, ...] = ()
    """The words that it may say, in any case; () for any."""
    least: int = 1
    """The least number that it may say."""

    def read(self, environ: Mapping[str, str] = os.environ) -> T:
        """Its value, the default where it is empty; raises `UnusableSettingError`."""
        said = environ.get(self.name) or ""
        if not said:
            return self.default
        if isinstance(self.default, int):
            if not said.isdecimal() or int(said) < self.least:
                raise UnusableSettingError(f"{self.name}={said} must be a whole number from {self.least} on")
            return int(said)
        if self.choices and said.lower() not in self.choices:
            raise UnusableSettingError(f"{self.name}={said} is unknown; choose from {', '.join(self.choices)}")
        return said.lower() if self.choices else said


MAX_INPUT_CHARS = Setting("MAX_INPUT_CHARS", 4096, "Characters that one speech request may hold.")
CPU_THREADS = Setting("CPU_THREADS", 0, "CPU threads that one computation may use; 0: every core.", least=0)

DTYPE = Setting(
    "DTYPE",
    "",
    "Precision of Qwen3-TTS: `bfloat16`, `float16` (GPU alone) or `float32`; empty: by the GPU's generation, and "
    "float32 on a CPU.",
    choices=("bfloat16", "float16", "float32"),
)
ATTN_IMPLEMENTATION = Setting(
    "ATTN_IMPLEMENTATION",
    "",
    "Attention of the `stock` engine: `flash_attention_2`, `sdpa` or `eager`; the first gives way to the second where "
    "it cannot run, and empty means the same.",
    choices=("flash_attention_2", "sdpa", "eager"),
)
DEFAULT_SPEAKER = Setting("DEFAULT_SPEAKER", "Vivian", "Voice of Qwen3-TTS where a request names none.")
DEFAULT_LANGUAGE = Setting("DEFAULT_LANGUAGE", "Auto", "Language of Qwen3-TTS where a request names none.")
CUSTOM_VOICE_MODEL_PATH = Setting(
    "CUSTOM_VOICE_MODEL_PATH",
    "",
    "Checkpoint that answers as the CustomVoice model of its size, relative to the clone; `VOICE_DESIGN_MODEL_PATH` "
    "and `VOICE_CLONE_MODEL_PATH` likewise, and `CUSTOM_VOICE_0_6B_MODEL_PATH` and its like for one size.",
)
QWEN_ENGINE = Setting(
    "QWEN_ENGINE",
    "inflight",
    "What speaks Qwen3-TTS: `inflight`, many streams at once, sounding from the first frames on; or `stock`, the "
    "published package as it is.",
    choices=("inflight", "stock"),
)
QWEN_SLOTS = Setting(
    "QWEN_SLOTS",
    0,
    "Streams that a Qwen3-TTS model speaks at once; 0: 4 on a CPU, on a GPU what memory has room for, up to 16.",
    least=0,
)
QWEN_KV_POSITIONS = Setting(
    "QWEN_KV_POSITIONS",
    6144,
    "What a slot holds, in prompt tokens and frames of 80 ms; a position takes 112 KiB in 16 bits. Unless it is set, "
    "fewer on a GPU with little memory.",
    least=64,
)
QWEN_QUEUE = Setting("QWEN_QUEUE", 16, "Requests that may wait for a slot.", least=0)
QWEN_QUEUE_SECONDS = Setting(
    "QWEN_QUEUE_SECONDS", 30, "Seconds that a request may wait for a slot, if its own `timeout` is not less.", least=0
)
QWEN_PREFILL_TOKENS = Setting(
    "QWEN_PREFILL_TOKENS",
    0,
    "Prompt tokens that Qwen3-TTS reads between two frames of those that are spoken; 0: as many as delay them by no "
    "more than a frame, 32 on a CPU and 256 on a GPU.",
    least=0,
)
QWEN_GRAPHS = Setting(
    "QWEN_GRAPHS",
    "auto",
    "CUDA graphs of Qwen3-TTS: `auto`, captured at load where they can be, or `off`, for a slower model that loads "
    "sooner and takes less memory.",
    choices=("auto", "off"),
)
QWEN_PROFILE = Setting(
    "QWEN_PROFILE",
    "latency",
    "How soon a stream sounds against how little it costs: `latency`, `balanced` or `throughput`.",
    choices=("latency", "balanced", "throughput"),
)
QWEN_RUNAWAY_SECONDS = Setting(
    "QWEN_RUNAWAY_SECONDS", 8, "Seconds of silence or repetition after which speech is ended; 0: never.", least=0
)
QWEN_VOICE_CACHE_MB = Setting("QWEN_VOICE_CACHE_MB", 256, "Megabytes that cloned voices may take.", least=0)
QWEN_MAX_REQUESTS = Setting("QWEN_MAX_REQUESTS", 64, "Requests that the `stock` engine has open at once.")
QWEN_MAX_BATCH = Setting("QWEN_MAX_BATCH", 8, "Requests that the `stock` engine speaks together.")
KOKORO_MAX_REQUESTS = Setting("KOKORO_MAX_REQUESTS", 32, "Requests that Kokoro has open at once.")
WHISPER_COMPUTE_TYPE = Setting(
    "WHISPER_COMPUTE_TYPE",
    "",
    "How Whisper computes, in CTranslate2's words (`float16`, `int8_float16`, `int8`...); empty: int8 on a CPU, on a "
    "GPU float16 where it has it and the memory for it.",
    choices=(
        *("auto", "default", "int8", "int8_float32", "int8_float16", "int8_bfloat16"),
        *("int16", "float16", "bfloat16", "float32"),
    ),
)

ALL: tuple[Setting[str] | Setting[int], ...] = (
    DTYPE,
    ATTN_IMPLEMENTATION,
    DEFAULT_SPEAKER,
    DEFAULT_LANGUAGE,
    CUSTOM_VOICE_MODEL_PATH,
    QWEN_ENGINE,
    QWEN_SLOTS,
    QWEN_KV_POSITIONS,
    QWEN_QUEUE,
    QWEN_QUEUE_SECONDS,
    QWEN_PREFILL_TOKENS,
    QWEN_PROFILE,
    QWEN_RUNAWAY_SECONDS,
    QWEN_VOICE_CACHE_MB,
    QWEN_GRAPHS,
    QWEN_MAX_REQUESTS,
    QWEN_MAX_BATCH,
    KOKORO_MAX_REQUESTS,
    WHISPER_COMPUTE_TYPE,
    MAX_INPUT_CHARS,
    CPU_THREADS,
)
"""In the order in which the documentation lists them."""
