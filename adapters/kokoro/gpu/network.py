"""Batches of pieces on a GPU: phonemes to durations in one pass, then the frames of pieces of like length together.

Numbers of rows are powers of two, and lengths are multiples of an eighth to a quarter of themselves, so that few shapes
occur: libraries plan for each one, and each has a CUDA graph if it is small. Larger batches keep the GPU busy without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.inflight.cuda_streams import device_tensor, is_usable
from adapters.kokoro.gpu.layers import STYLE, Rows
from adapters.kokoro.gpu.module import Kokoro, frames_of
from adapters.kokoro.synthesis import BOUNDARY, FRAME, PieceInput, Spoken
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy, upload
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.triton.lost_gpu import GpuLost

T = TypeVar("T")

_LEAST_TOKENS, _MOST_TOKENS = 32, 512
_LEAST_FRAMES = 64
_CAPTURED = 2048
"""Tokens or frames in a batch, with padding, up to which it has a CUDA graph, which keeps its inputs and its result."""
_PREPARED_ROWS = (1, 2, 4, 8)
_PREPARED_TOKENS, _PREPARED_FRAMES = 128, 320
"""Lengths up to which graphs are captured at the load: a clause of eight seconds."""


def bucket(length: int, least: int, most: int | None = None) -> int:
    """Return the padded length: 4, 5, 6 or 7 times a power of two, at least `least` and at most `most`."""
    step = 1 << max((max(length, least) - 1).bit_length() - 3, 0)
    padded = -(-max(length, least) // step) * step
    return padded if most is None else min(padded, most)


@dataclass(frozen=True)
class _Inputs:
    """The tensors of one shape of a batch."""

    content: Tensor
    """Tokens [B, T], or features of frames [B, F, n]."""
    lengths: Tensor
    style: Tensor
    speed: Tensor


class GpuNetwork:
    """A loaded checkpoint on a device of torch. One thread at a time may call it."""

    has_durations = True

    def __init__(
        self,
        module: Kokoro,
        tokens: Callable[[str], list[int]],
        device: torch.device,
        *,
        batch_frames: int,
        graphs: bool = True,
    ) -> None:
        """`module`: on the device; `tokens`: those of phonemes; `batch_frames`: computed at once, with padding."""
        self._tokens = tokens
        self._module = module
        self._device = device
        self._batch_frames = batch_frames
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._graphs = Graphs(device, enabled=graphs)
        self._inputs: dict[tuple[str, int, int], _Inputs] = {}
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(device))  # which has the copies of the weights

    def capture(self) -> int:
        """Capture the graphs of short batches of a few rows, and return their number, which is 0 without graphs."""
        if self._graphs.enabled:
            with torch.inference_mode(), self._on_stream():
                for rows in _PREPARED_ROWS:
                    for tokens in _lengths(_LEAST_TOKENS, _PREPARED_TOKENS):
                        self._read(self._inputs_of("read", rows, tokens))
                    for frames in _lengths(_LEAST_FRAMES, min(_PREPARED_FRAMES, _CAPTURED // rows)):
                        self._speak(self._inputs_of("speak", rows, frames))
        return len(self._graphs)

    def tokens(self, phonemes: str) -> list[int]:
        """Return the tokens of phonemes; sounds that Kokoro was not trained on are left out."""
        return self._tokens(phonemes)

    def speak(self, tokens: Sequence[int], style: NDArray[np.float32], speed: float) -> Spoken:
        """Return the speech of one piece; `tokens`: at most `MAX_TOKENS`; `style`: shape [1, 256]."""
        return self.speak_all([(tokens, style, speed)])[0]

    def speak_all(self, pieces: Sequence[PieceInput]) -> list[Spoken]:
        """Return the speech of each piece, which does not depend on the others.

        Raises `GpuLost` if only a new process can use the GPU, else the error of the device.
        """
        try:
            with torch.inference_mode(), self._on_stream():
                return self._speech(pieces)
        except RuntimeError as error:
            if not is_usable(self._device):
                raise GpuLost from error
            raise

    def _speech(self, pieces: Sequence[PieceInput]) -> list[Spoken]:
        ids = [[BOUNDARY, *tokens, BOUNDARY] for tokens, _, _ in pieces]
        count, size = 1 << (len(pieces) - 1).bit_length(), bucket(max(map(len, ids)), _LEAST_TOKENS, _MOST_TOKENS)
        padding = count - len(pieces)
        read = self._inputs_of("read", count, size)
        upload(read.content, [row + [BOUNDARY] * (size - len(row)) for row in [*ids, *[[]] * padding]])
        upload(read.lengths, [*map(len, ids), *[1] * padding])
        upload(read.style, [*(style[0].tolist() for _, style, _ in pieces), *[[0.0] * 2 * STYLE] * padding])
        upload(read.speed, [*(speed for *_, speed in pieces), *[1.0] * padding])
        # Copies, because the next graph uses the same memory.
        durations, features = (each.clone() for each in self._read(read))
        told = AsyncCopy(durations).wait()[: len(pieces)]
        frames = told.sum(1).astype(np.int64)
        batches = [self._batch(rows, frames, read.style, durations, features) for rows in self._plan(frames)]
        spoken: dict[int, Spoken] = {}
        for rows, copy in batches:
            samples = copy.wait()
            for place, row in enumerate(rows):
                spoken[row] = samples[place, : frames[row] * FRAME], told[row, : len(ids[row])]
        return [spoken[row] for row in range(len(pieces))]

    def _plan(self, frames: NDArray[np.int64]) -> Iterator[list[int]]:
        """Yield the rows of each batch, shortest first: as many as fit, but a power of two."""
        left = np.argsort(frames, kind="stable").tolist()
        while left:
            rows = 1 << (len(left).bit_length() - 1)
            while rows > 1 and rows * bucket(int(frames[left[rows - 1]]), _LEAST_FRAMES) > self._batch_frames:
                rows //= 2
            yield left[:rows]
            del left[:rows]

    def _batch(
        self, rows: list[int], frames: NDArray[np.int64], style: Tensor, durations: Tensor, features: Tensor
    ) -> tuple[list[int], AsyncCopy]:
        """Compute the samples of some rows."""
        inputs = self._inputs_of("speak", len(rows), bucket(int(frames[rows].max()), _LEAST_FRAMES))
        index = device_tensor(rows, self._device)
        inputs.content.copy_(frames_of(features[index], durations[index], inputs.content.shape[1]))
        inputs.style.copy_(style[index])
        upload(inputs.lengths, frames[rows].tolist())
        return rows, AsyncCopy(self._speak(inputs))

    def _read(self, inputs: _Inputs) -> tuple[Tensor, Tensor]:
        """Return the durations, 0 for padding, and the features of tokens."""

        def work() -> tuple[Tensor, Tensor]:
            rows = Rows(inputs.lengths, inputs.content.shape[1])
            # Durations are rounded: they have to be those of float32 on a CPU.
            with torch.backends.cudnn.flags(allow_tf32=False):
                durations, features = self._module.read(inputs.content, inputs.style, inputs.speed, rows)
            return durations * rows.is_valid, features

        return self._run("read", inputs, work)

    def _speak(self, inputs: _Inputs) -> Tensor:
        """Return the samples of frames."""

        def work() -> Tensor:
            return self._module.speak(inputs.content, inputs.style, Rows(inputs.lengths, inputs.content.shape[1]))

        return self._run("speak", inputs, work)

    def _run(self, kind: str, inputs: _Inputs, work: Callable[[], T]) -> T:
        """Do the work, by its graph if its shape has one."""
        rows, size, *_ = inputs.content.shape
        return self._graphs.run((kind, rows, size), work) if self._has_graph(rows, size) else work()

    def _has_graph(self, rows: int, size: int) -> bool:
        return self._graphs.enabled and rows * size <= _CAPTURED

    def _inputs_of(self, kind: str, rows: int, size: int) -> _Inputs:
        """Return inputs of a shape, with values that any work can be captured with: for a graph always the same."""
        key = kind, rows, size
        if key in self._inputs:
            return self._inputs[key]
        is_text = kind == "read"
        shape = (rows, size) if is_text else (rows, size, self._module.features)
        inputs = _Inputs(
            torch.zeros(shape, dtype=torch.int64 if is_text else torch.float32, device=self._device),
            torch.ones(rows, dtype=torch.int64, device=self._device),
            torch.zeros((rows, 2 * STYLE), device=self._device),
            torch.ones(rows, device=self._device),
        )
        if self._has_graph(rows, size):
            self._inputs[key] = inputs
        return inputs

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def _lengths(least: int, most: int) -> Iterator[int]:
    """Yield the padded lengths up to `most`."""
    length = least
    while length <= most:
        yield length
        length = bucket(length + 1, least)
