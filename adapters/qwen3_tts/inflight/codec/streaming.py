"""The codec decoder for many streams: a state for each slot, batches, and CUDA graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.state import CodecState, StateArena
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.device.graphs import Graphs, buckets_up_to


class StreamingCodec:
    """Decodes `slots` streams of audio. For one thread at a time; nothing here waits for the device.

    On CUDA all work is on a stream of its own, beside the frames, and each shape is one graph: batches are padded to a
    power of two with rows of a spare slot.
    """

    def __init__(self, decoder: CodecDecoder, *, slots: int, graphs: Graphs | None = None) -> None:
        """`graphs`: used by this codec alone; by default, enabled if the device has them."""
        device = decoder.device
        self._decoder = decoder
        self._arena = StateArena(decoder.layout, slots + 1, device=device, dtype=decoder.dtype)
        self.slots = slots
        self._graphs = Graphs(device) if graphs is None else graphs
        self._buckets = buckets_up_to(slots)
        self._inputs: dict[tuple[int, int], Tensor] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(device))  # the weights were made on that stream

    def capture(self, sizes: Sequence[int], progress: Callable[[int, int], None]) -> None:
        """Capture all graphs for chunks of these sizes, in frames. Calls `progress` with (done, total).

        The state of all slots stays as it is. Without graphs this does nothing.
        """
        if not self._graphs.enabled:
            return
        shapes = [(rows, frames) for rows in self._buckets for frames in sizes]
        shapes.sort(key=math.prod, reverse=True)  # small shapes reuse the memory of large ones
        with self._on_stream():
            for done, shape in enumerate(shapes, 1):
                self._input(*shape)
                progress(done, len(shapes))

    def reset(self, slot: int, state: CodecState | None = None) -> None:
        """Start a new stream in a slot. With `state`, the stream continues from that state."""
        with self._on_stream():
            self._arena.restore(slot, state)

    def decode(self, slots: Sequence[int], codes: NDArray[np.int64]) -> AsyncCopy:
        """Decode the next codes (n, frames, 16) of some slots. Each slot may occur once.

        The samples are (n, frames * 1920) from -1 to 1, in float32; in float64 if the decoder is.
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
            return AsyncCopy(self._samples_of(device_lines)[:n])

    def _blank(self, rows: int, frames: int) -> Tensor:
        """Return an input on the host: for each row its slot, then its codes. All rows are of the spare slot."""
        pinned = self._stream is not None  # copies from unpinned memory wait for all work of the device
        lines = torch.zeros(rows, 1 + frames * self._decoder.books, dtype=torch.int64, pin_memory=pinned)
        lines[:, 0] = self.slots  # the spare slot is the one after the last
        return lines

    def _input(self, rows: int, frames: int) -> Tensor:
        """Return the input tensor of a shape. A capture decodes several times: its input is of the spare slot."""
        lines = self._inputs.get((rows, frames))
        if lines is None:
            lines = self._blank(rows, frames).to(self._decoder.device, non_blocking=True)
            if self._graphs.enabled:
                self._samples_of(lines)
            self._inputs[rows, frames] = lines
        return lines

    def _samples_of(self, lines: Tensor) -> Tensor:
        """Decode an input tensor. Its address must never change."""

        def decode() -> Tensor:
            codes = lines[:, 1:].unflatten(1, (-1, self._decoder.books))
            samples = self._decoder.decode(self._arena, lines[:, 0].contiguous(), codes)
            return samples.to(torch.promote_types(samples.dtype, torch.float32))

        return self._graphs.run(lines.shape, decode)

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        with torch.cuda.stream(self._stream), torch.inference_mode():
            yield
