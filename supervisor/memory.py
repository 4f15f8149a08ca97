"""What the in-flight engine of Qwen3-TTS takes on a GPU, counted from the published shapes. GB are 2^30 bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.settings import DTYPE, QWEN_ENGINE, QWEN_KV_POSITIONS, QWEN_SLOTS, QWEN_VOICE_CACHE_MB
from tritone.catalogue import Shape

_GB = 1 << 30
_FULL = 4
"""Bytes of a number in float32."""
_CONTEXT = 0.6
"""GB of a process that uses CUDA: its context, the libraries' kernels and their working memory; an allowance."""
_GRAPHS = 0.4
"""GB of captured graphs and what they compute in, without the codec's; an allowance."""
_ENCODING = 0.4
"""GB in which the codes of a reference of 30 seconds are found, 720,000 samples of 64 channels a layer; likewise."""
_CODEC_STATE = 1.3e6
"""Numbers that the codec remembers of a stream."""
_CODEC_WORK = 24 * 1920 * 96 * 4
"""Numbers in which it decodes one's chunk: samples of 24 frames, 96 channels, four such tensors at a time."""


@dataclass(frozen=True)
class Arena:
    """How much the engine keeps of streams."""

    slots: int
    positions: int
    """Prompt tokens and frames that a slot holds."""


@dataclass(frozen=True)
class EngineMemory:
    """The engine as the settings have it."""

    slots: int = 0
    """QWEN_SLOTS; 0: it says nothing."""
    positions: int = 0
    """QWEN_KV_POSITIONS; 0: it says nothing."""
    number: int = 2
    """Bytes of one, by DTYPE."""
    voices: int = QWEN_VOICE_CACHE_MB.default << 20
    """Bytes that cloned voices may take."""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> EngineMemory | None:
        """What the models' settings say; None: another engine speaks. Raises `UnusableSettingError`."""
        if QWEN_ENGINE.read(environ) != "inflight":
            return None
        return cls(
            slots=QWEN_SLOTS.read(environ),
            positions=QWEN_KV_POSITIONS.read(environ) if environ.get(QWEN_KV_POSITIONS.name) else 0,
            number=_FULL if DTYPE.read(environ) == "float32" else 2,
            voices=QWEN_VOICE_CACHE_MB.read(environ) << 20,
        )

    def without_streams(self, shape: Shape, *, clones: bool) -> float:
        """GB of a checkpoint of this shape, before it keeps anything of a stream."""
        encoder = shape.codec_encoder * _FULL  # a recording's codes are found in float32
        weights = ((shape.parameters + shape.codec_decoder) * self.number + encoder) * 1e6 / _GB
        return weights + _CONTEXT + _GRAPHS + (_ENCODING + self.voices / _GB if clones else 0)

    def of_streams(self, shape: Shape, arena: Arena) -> float:
        """GB that the slots take, and the spare one that pads batches."""
        keys_and_values = 2 * shape.layers * shape.key_value_heads * shape.head_dim
        text = shape.hidden  # a row for each position, whether the text is that long or not
        numbers = arena.positions * (keys_and_values + text) + _CODEC_STATE + _CODEC_WORK
        return (arena.slots + 1) * numbers * self.number / _GB
