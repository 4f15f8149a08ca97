"""The computation in fused CUDA kernels. Their number and shapes depend on the number of rows alone.

The import needs the Triton language.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.device.async_copy import upload
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.code_sampler import CodeSampler
from adapters.qwen3_tts.inflight.model.kernels.decoder import FusedDecoder
from adapters.qwen3_tts.inflight.model.kernels.sampling import FirstCodeRules, FusedRowSampler
from adapters.qwen3_tts.inflight.model.talker import PREFILL_BUCKETS, PrefillChunk, Talker
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights, Weights


class FusedTalker(Talker):
    """Prompt tokens and frame tokens are rows alike. The last slot is scratch space for padding rows."""

    def __init__(self, weights: Weights, *, slots: int, positions: int, graphs: Graphs) -> None:
        super().__init__(weights, slots=slots, positions=positions)
        self._decoder = FusedDecoder(weights.talker, positions)
        self._graphs = graphs
        self._spare = slots - 1
        self._inputs: dict[int, _Input] = {}

    def warm_ups(self) -> Sequence[Callable[[], object]]:
        """See `Talker`. The largest chunks come first; smaller ones reuse their memory."""
        return [partial(self._input, rows) for rows in reversed(PREFILL_BUCKETS)]

    def prefill(self, parts: Sequence[Tensor], chunks: Sequence[PrefillChunk]) -> None:
        """See `Talker`."""
        tokens = sum(map(len, parts))
        inputs = self._input(next(rows for rows in PREFILL_BUCKETS if rows >= tokens))
        inputs.load(parts, chunks, self._spare)
        self._prefill(inputs)

    def clear(self, slot: int, positions: int) -> None:
        """See `Talker`. The kernels read nothing behind a row's own position."""

    def step(self, x: Tensor, batch: Batch, positions: Tensor, span: int) -> Tensor:
        """See `Talker`. The kernels read the positions on the device, so `span` is not used."""
        hidden = self._decoder(x, self._arena, batch.slots, positions)
        self._hidden.index_copy_(0, batch.slots, hidden)
        return hidden

    def _input(self, rows: int) -> _Input:
        """Return the input tensors for so many tokens. A capture runs several times, so the first input is padding."""
        inputs = self._inputs.get(rows)
        if inputs is None:
            inputs = _Input(rows, self._hidden)
            inputs.load([], [], self._spare)
            self._prefill(inputs)
            self._inputs[rows] = inputs
        return inputs

    def _prefill(self, inputs: _Input) -> None:
        def work() -> None:
            hidden = self._decoder(inputs.x, self._arena, inputs.slots, inputs.positions)
            self._hidden.index_copy_(0, inputs.targets, hidden)

        self._graphs.run(("prefill", len(inputs.x)), work)


class _Input:
    """Input tokens of one prefill, in tensors that stay at their addresses."""

    def __init__(self, rows: int, like: Tensor) -> None:
        """`like` (..., hidden) has the tokens' width, type and device."""
        self.x = like.new_zeros(rows, like.shape[1])
        self._lines = torch.zeros(3, rows, dtype=torch.int64, device=like.device)
        self.slots, self.positions, self.targets = self._lines.unbind(0)
        """Slot and position of each token; the slot that keeps its hidden state: its own for the last token of a chunk,
        else the spare slot."""

    def load(self, parts: Sequence[Tensor], chunks: Sequence[PrefillChunk], spare: int) -> None:
        """Set the tokens, and pad with zeros for the spare slot."""
        tokens = [
            (chunk.slot, position, chunk.slot if position == chunk.stop - 1 else spare)
            for chunk in chunks
            for position in range(chunk.start, chunk.stop)
        ]
        padding = len(self.x) - len(tokens)
        torch.cat([*parts, self.x.new_zeros(padding, self.x.shape[1])], out=self.x)
        upload(self._lines, list(zip(*tokens, *[(spare, 0, spare)] * padding, strict=True)))


class FusedPredictorDecoder:
    """The predictor's layers, with one cache slot for each row."""

    def __init__(self, stack: DecoderWeights, *, rows: int, positions: int) -> None:
        """`rows`: the largest batch."""
        device = stack.norm.device
        self._decoder = FusedDecoder(stack, positions)
        shape = len(stack.layers), rows, positions, 2 * stack.key_value_heads, stack.head_dim
        self._cache = torch.zeros(shape, device=device, dtype=stack.norm.dtype)
        self._rows = torch.arange(rows, device=device)
        self._rows_twice = self._rows.repeat_interleave(2)
        self._both = torch.arange(2, device=device).repeat(rows)
        self._positions = torch.arange(positions, device=device)[:, None].repeat(1, rows).unbind(0)

    def first_two(self, x: Tensor) -> Tensor:
        """See `PredictorDecoder`."""
        hidden = self._decoder(x, self._cache, self._rows_twice[: len(x)], self._both[: len(x)])
        second: Tensor = hidden.unflatten(0, (-1, 2))[:, 1]
        return second

    def next(self, x: Tensor, position: int) -> Tensor:
        """See `PredictorDecoder`."""
        return self._decoder(x, self._cache, self._rows[: len(x)], self._positions[position][: len(x)])


class FusedCodeSampler(CodeSampler):
    """A kernel per draw, which computes its noise itself."""

    def noise(self, batch: Batch, frames: Tensor) -> Tensor:
        """Return the numbers of the frames, from which the kernels compute the noise."""
        return frames

    def draw_first(self, batch: Batch, scores: Tensor, drawn: Tensor, noise: Tensor | None) -> Tensor:
        """See `CodeSampler`."""
        assert noise is not None
        rules = FirstCodeRules(self._seen, batch.slots, batch.penalty, drawn, batch.min_tokens, self.end, self._control)
        return FusedRowSampler(batch.talker, batch.keys, self._numbers).draw(scores, noise, self._first_offset, rules)

    def draw_other(self, batch: Batch, book: int, scores: Tensor, noise: Tensor | None) -> Tensor:
        """See `CodeSampler`."""
        assert noise is not None
        return FusedRowSampler(batch.predictor, batch.keys, self._numbers).draw(scores, noise, self.noise_offset(book))
