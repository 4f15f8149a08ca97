"""From codes to samples, chunk by chunk, for many streams at once.

The 12 Hz codec's decoder is causal, so a stream whose layers remember the end of their input sounds as if it had been
decoded in one piece, whatever its chunks were: there is no seam, and no context to decode again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.codec_layers import upsampled
from adapters.qwen3_tts.inflight.codec_state import CodecState, Past, StateArena
from adapters.qwen3_tts.inflight.codec_weights import LayerFactory

__all__ = ["CodecDecoder", "CodecState", "StreamingCodec"]


class CodecDecoder:
    """The decoder's layers, made ready once; any number of `StreamingCodec` share them."""

    def __init__(self, decoder: Any) -> None:
        """`decoder`: the package's `Qwen3TTSTokenizerV2Decoder`, on the device and in the precision that are wanted."""
        factory = LayerFactory(decoder)
        self._codebooks = factory.codebooks()
        self._first = torch.arange(decoder.config.num_quantizers, device=self.device) * decoder.config.codebook_size
        self._entry = factory.entry()
        self._transformer = factory.transformer()
        self._expansions = factory.expansions()
        self._head = factory.head()
        self._blocks = factory.blocks()
        self._last_snake, self._last_conv = factory.tail()
        self.layout = factory.layout

    @property
    def device(self) -> torch.device:
        """Where it decodes."""
        return self._codebooks.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self._codebooks.dtype

    @property
    def reach(self) -> int:
        """How many latents, this one included, the samples of a frame and the state behind them depend on."""
        frames, rate = 0.0, 1
        for _, expansion, block in self._expansions:
            rate *= expansion
            frames += block.depthwise.reach / rate
        frames += self._head.reach / rate
        for decoder_block in self._blocks:
            frames += decoder_block.expand.reach / rate
            rate *= decoder_block.rate
            frames += sum(unit.wide.reach for unit in decoder_block.units) / rate
        return 1 + math.ceil(frames + self._last_conv.reach / rate)

    def latents(self, codes: Tensor, start: Tensor, past: Past) -> Tensor:
        """What samples are made of, (n, frames, channels): of codes (n, frames, 16) from frames `start` (n,) on."""
        embedded = self._codebooks[codes + self._first].sum(2)
        return self._transformer(self._entry(embedded, past), start, past)

    def samples(self, latents: Tensor, past: Past) -> Tensor:
        """Samples (n, frames * 1920) of latents (n, frames, channels)."""
        x = latents
        for expand, rate, block in self._expansions:
            x = block(upsampled(expand(x), rate), past)
        x = self._head(x, past)
        for decoder_block in self._blocks:
            x = decoder_block(x, past)
        return self._last_conv(self._last_snake(x), past).flatten(1).clamp(-1, 1)


class StreamingCodec:
    """`slots` streams of audio. For one thread at a time; nothing here waits for the device."""

    def __init__(self, decoder: CodecDecoder, *, slots: int) -> None:
        self._decoder = decoder
        self._arena = StateArena(decoder.layout, slots, device=decoder.device, dtype=decoder.dtype)

    def reset(self, slot: int, state: CodecState | None = None) -> None:
        """Begin a new stream in a slot; with `state`, one that goes on from there."""
        self._arena.restore(slot, state)

    def save(self, slot: int) -> CodecState:
        """A copy of where a slot's stream stands, for `reset` of any codec with the same decoder."""
        return self._arena.save(slot)

    def decode(self, slots: Sequence[int], codes: Tensor) -> Tensor:
        """The next samples of some slots, (n, frames * 1920) from -1 to 1, of their next codes (n, frames, 16) int64.

        The codes may be in the host's memory. No slot may be named twice. What is done depends on their shape alone.
        """
        with torch.inference_mode():
            latents, past = self._read(self._on_device(slots), codes)
            return self._decoder.samples(latents, past)

    def skip(self, slots: Sequence[int], codes: Tensor) -> None:
        """As `decode`, for codes that need not be heard: the same state, for a fraction of the work.

        Only the transformer looks back far; what follows it depends on the last few frames.
        """
        with torch.inference_mode():
            latents, past = self._read(self._on_device(slots), codes)
            self._decoder.samples(latents[:, -self._decoder.reach :], past)

    def _read(self, slots: Tensor, codes: Tensor) -> tuple[Tensor, Past]:
        codes = codes.to(self._decoder.device, non_blocking=True)
        start = self._arena.frames.index_select(0, slots)
        self._arena.frames.index_copy_(0, slots, start + codes.shape[1])
        past = self._arena.open(slots)
        return self._decoder.latents(codes, start, past), past

    def _on_device(self, slots: Sequence[int]) -> Tensor:
        """From pinned memory: a copy from any other would wait for all that the device has in work."""
        device = self._decoder.device
        return torch.tensor(slots, pin_memory=device.type == "cuda").to(device, non_blocking=True)
