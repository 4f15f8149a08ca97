"""The codec decoder: from codes to samples, chunk by chunk.

The 12 Hz codec's decoder is causal. If the layers keep the end of their input for each stream, the samples are the same
for any chunk sizes as for one whole decode: no seams, and no context that is decoded twice.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.layer_factory import LayerFactory, working_dtype
from adapters.qwen3_tts.inflight.codec.layers import upsampled
from adapters.qwen3_tts.inflight.codec.state import CodecState, Past, StateArena
from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.model.kernels import available
from adapters.qwen3_tts.inflight.model.weights import Weights


class CodecDecoder:
    """The decoder's layers. Any number of `StreamingCodec` may share one instance."""

    def __init__(self, weights: CodecWeights, dtype: torch.dtype, *, fused: bool | None = None) -> None:
        """Convert `weights`, on their device, to layers that compute in `dtype`; raises `UnreadableCheckpointError`.

        `fused`: use the fused kernels; by default where they run.
        """
        device = weights.device
        fused = available(device) if fused is None else fused
        factory = LayerFactory(weights, dtype, fused=fused)
        self._codebooks = factory.codebooks()
        self._first = torch.arange(weights.setting("num_quantizers"), device=device) * weights.setting("codebook_size")
        self._entry = factory.entry()
        self._transformer = factory.transformer()
        self._expansions = factory.expansions()
        self._head = factory.head()
        self._blocks = factory.blocks()
        self._tail = factory.tail()
        self.layout, self._past = factory.layout, factory.past

    @classmethod
    def load(cls, checkpoint: Weights) -> CodecDecoder:
        """Load the decoder of a checkpoint, for an engine on its device and in its precision."""
        device = checkpoint.device
        weights = CodecWeights.load(checkpoint.folder / "speech_tokenizer", device)
        return cls(weights, working_dtype(device, checkpoint.dtype))

    @property
    def device(self) -> torch.device:
        """The device of the layers."""
        return self._codebooks.device

    @property
    def dtype(self) -> torch.dtype:
        """The working precision."""
        return self._codebooks.dtype

    @property
    def books(self) -> int:
        """The number of codes in a frame."""
        return len(self._first)

    @property
    def _reach(self) -> int:
        """The number of latents, the current one included, that a frame's samples and the state after it depend on."""
        frames, rate = 0.0, 1
        for _, expansion, block in self._expansions:
            rate *= expansion
            frames += block.depthwise.reach / rate
        frames += self._head.reach / rate
        for decoder_block in self._blocks:
            frames += decoder_block.expand.reach / rate
            rate *= decoder_block.rate
            frames += sum(unit.wide.reach for unit in decoder_block.units) / rate
        return 1 + math.ceil(frames + self._tail.reach / rate)

    def decode(self, arena: StateArena, slots: Tensor, codes: Tensor) -> Tensor:
        """Decode the next codes (n, frames, 16) of an arena's slots (n,) int64 to samples (n, frames * 1920).

        The operations depend on shapes alone, and nothing waits for the device.
        """
        past = self._past(arena, slots, codes.shape[1])
        return self._samples(self._latents(codes, past), past)

    def state_after(self, codes: Tensor) -> CodecState:
        """Return the state of a stream that has decoded codes (frames, 16), for a fraction of the work.

        Only the transformer looks back far; the layers after it depend on the last few frames.
        """
        arena = StateArena(self.layout, 1, device=self.device, dtype=self.dtype)
        past = self._past(arena, torch.zeros(1, dtype=torch.int64, device=self.device), len(codes))
        self._samples(self._latents(codes[None], past)[:, -self._reach :], past)
        return arena.save(0)

    def _latents(self, codes: Tensor, past: Past) -> Tensor:
        """Return the transformer's output (n, frames, channels)."""
        embedded = self._codebooks[codes + self._first].sum(2)
        return self._transformer(self._entry(embedded, past), past)

    def _samples(self, latents: Tensor, past: Past) -> Tensor:
        x = latents
        for expand, rate, block in self._expansions:
            x = block(upsampled(expand(x), rate), past)
        x = self._head(x, past)
        for decoder_block in self._blocks:
            x = decoder_block(x, past)
        return self._tail(x, past).flatten(1).clamp(-1, 1)
