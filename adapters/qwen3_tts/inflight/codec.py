"""From codes to samples, chunk by chunk, for many streams at once.

The 12 Hz codec's decoder is causal, so a stream whose layers remember the end of their input sounds as if it had been
decoded in one piece, whatever its chunks were: there is no seam, and no context to decode again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.qwen3_tts.inflight.codec_layers import upsampled
from adapters.qwen3_tts.inflight.codec_state import CodecState, Past, StateArena
from adapters.qwen3_tts.inflight.codec_weights import LayerFactory, working_dtype
from adapters.qwen3_tts.inflight.graphs import Graphs, buckets_up_to
from adapters.qwen3_tts.inflight.kernels import available
from adapters.qwen3_tts.inflight.transfer import Transfer
from adapters.qwen3_tts.inflight.weights import Weights

__all__ = ["CodecDecoder", "CodecState", "StreamingCodec"]


class CodecDecoder:
    """The decoder's layers, made ready once; any number of `StreamingCodec` share them."""

    def __init__(self, decoder: Any, dtype: torch.dtype | None = None, *, fused: bool | None = None) -> None:
        """`decoder`: the package's `Qwen3TTSTokenizerV2Decoder`, on the device that is wanted.

        `dtype`: what to compute in, if not in the decoder's own. `fused`: with the kernels; if None, where they run.
        """
        fused = available(decoder.device) if fused is None else fused
        factory = LayerFactory(decoder, dtype or decoder.dtype, fused=fused)
        self._codebooks = factory.codebooks()
        self._first = torch.arange(decoder.config.num_quantizers, device=self.device) * decoder.config.codebook_size
        self._entry = factory.entry()
        self._transformer = factory.transformer()
        self._expansions = factory.expansions()
        self._head = factory.head()
        self._blocks = factory.blocks()
        self._tail = factory.tail()
        self.layout, self._past = factory.layout, factory.past

    @classmethod
    def of(cls, weights: Weights) -> CodecDecoder:
        """That of a checkpoint, from which the package's is taken: nobody else decodes, and its memory is wanted."""
        decoder = cls(weights.speech_tokenizer.decoder, working_dtype(weights.device, weights.dtype))
        del weights.speech_tokenizer.decoder
        return decoder

    @property
    def device(self) -> torch.device:
        """Where it decodes."""
        return self._codebooks.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self._codebooks.dtype

    @property
    def books(self) -> int:
        """Codes of a frame."""
        return len(self._first)

    @property
    def _reach(self) -> int:
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
        return 1 + math.ceil(frames + self._tail.reach / rate)

    def decode(self, arena: StateArena, slots: Tensor, codes: Tensor) -> Tensor:
        """The next samples (n, frames * 1920) of an arena's slots (n,) int64, of their next codes (n, frames, 16).

        What is done depends on shapes alone, and nothing waits for the device.
        """
        past = self._past(arena, slots, codes.shape[1])
        return self._samples(self._latents(codes, past), past)

    def state_after(self, codes: Tensor) -> CodecState:
        """Where a stream stands that has decoded codes (frames, 16), for a fraction of the work.

        Only the transformer looks back far; what follows it depends on the last few frames.
        """
        arena = StateArena(self.layout, 1, device=self.device, dtype=self.dtype)
        past = self._past(arena, torch.zeros(1, dtype=torch.int64, device=self.device), len(codes))
        self._samples(self._latents(codes[None], past)[:, -self._reach :], past)
        return arena.save(0)

    def _latents(self, codes: Tensor, past: Past) -> Tensor:
        """What samples are made of, (n, frames, channels)."""
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


class StreamingCodec:
    """`slots` streams of audio. For one thread at a time; nothing here waits for the device.

    On CUDA all of it happens on a stream of its own, so that frames are made meanwhile, and one graph a shape: rows are
    filled up to a power of two with a spare slot, which is nobody's.
    """

    def __init__(self, decoder: CodecDecoder, *, slots: int, graphs: Graphs | None = None) -> None:
        """`graphs`: of this codec alone; if None, as the device has them."""
        device = decoder.device
        self._decoder = decoder
        self._arena = StateArena(decoder.layout, slots + 1, device=device, dtype=decoder.dtype)
        self.slots = slots
        self._graphs = Graphs(device) if graphs is None else graphs
        self._buckets = buckets_up_to(slots)
        self._inputs: dict[tuple[int, int], Tensor] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(device))  # by it the weights were made

    def capture(self, sizes: Sequence[int], progress: Callable[[int, int], None]) -> None:
        """Capture all that `speak` does with chunks of these sizes, in frames; `progress` hears (done, of how many).

        No slot changes by it. Where there are no graphs, there is nothing to do.
        """
        if not self._graphs.enabled:
            return
        shapes = [(rows, frames) for rows in self._buckets for frames in sizes]
        shapes.sort(key=math.prod, reverse=True)  # small ones find room where large ones were
        with self._on_stream():
            for done, shape in enumerate(shapes, 1):
                self._input(*shape)
                progress(done, len(shapes))

    def reset(self, slot: int, state: CodecState | None = None) -> None:
        """Begin a new stream in a slot; with `state`, one that goes on from there."""
        with self._on_stream():
            self._arena.restore(slot, state)

    def speak(self, slots: Sequence[int], codes: NDArray[np.int64]) -> Transfer:
        """The next samples of some slots, made of their next codes (n, frames, 16), on their way to the host.

        They are (n, frames * 1920) from -1 to 1, in float32; in float64 if the decoder is. No slot may be named twice.
        """
        n, frames, _ = codes.shape
        rows = next(rows for rows in self._buckets if rows >= n) if self._graphs.enabled else n
        with self._on_stream():
            lines = self._blank(rows, frames)
            values = lines.numpy()
            values[:n, 0] = slots
            values[:n, 1:] = codes.reshape(n, -1)
            device_lines = self._input(rows, frames)
            device_lines.copy_(lines, non_blocking=True)
            return Transfer(self._spoken(device_lines)[:n])

    def _blank(self, rows: int, frames: int) -> Tensor:
        """On the host, what is decoded: a line a row, its slot and then its codes; as yet all of the spare slot."""
        pinned = self._stream is not None  # copies from any other memory wait for all that the device has in work
        lines = torch.zeros(rows, 1 + frames * self._decoder.books, dtype=torch.int64, pin_memory=pinned)
        lines[:, 0] = self.slots  # the one after the last
        return lines

    def _input(self, rows: int, frames: int) -> Tensor:
        """Where the lines of a shape are decoded from. Capturing decodes more than once, so the first are blank."""
        lines = self._inputs.get((rows, frames))
        if lines is None:
            lines = self._blank(rows, frames).to(self._decoder.device)
            if self._graphs.enabled:
                self._spoken(lines)
            self._inputs[rows, frames] = lines
        return lines

    def _spoken(self, lines: Tensor) -> Tensor:
        """The samples of a shape's lines, which stay where they are."""

        def decode() -> Tensor:
            codes = lines[:, 1:].unflatten(1, (-1, self._decoder.books))
            samples = self._decoder.decode(self._arena, lines[:, 0].contiguous(), codes)
            return samples.to(torch.promote_types(samples.dtype, torch.float32))

        return self._graphs.run(lines.shape, decode)

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        with torch.cuda.stream(self._stream), torch.inference_mode():
            yield
