"""The same mathematics in kernels for CUDA, few of them, whose number and shapes depend on nothing but rows.

Importing this needs the language that they are written in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch
from adapters.qwen3_tts.inflight.drawing import Drawing
from adapters.qwen3_tts.inflight.graphs import Graphs
from adapters.qwen3_tts.inflight.kernels.decoder import FusedDecoder
from adapters.qwen3_tts.inflight.kernels.sampling import FusedSampler, Rules
from adapters.qwen3_tts.inflight.sampling import upload
from adapters.qwen3_tts.inflight.talker import PREFILL_BUCKETS, Piece, Talker
from adapters.qwen3_tts.inflight.weights import DecoderWeights, Weights


class FusedTalker(Talker):
    """Every token is a row, of a prompt or of a frame; the last slot is nobody's, and of those that fill up."""

    def __init__(self, weights: Weights, *, slots: int, positions: int, graphs: Graphs) -> None:
        super().__init__(weights, slots=slots, positions=positions)
        self._decoder = FusedDecoder(weights.talker, positions)
        self._graphs = graphs
        self._spare = slots - 1
        self._inputs: dict[int, _Input] = {}

    def preparations(self) -> Sequence[Callable[[], object]]:
        """See `Talker`; large portions first, whose memory small ones can share."""
        return [partial(self._input, rows) for rows in reversed(PREFILL_BUCKETS)]

    def read(self, parts: Sequence[Tensor], pieces: Sequence[Piece]) -> None:
        """See `Talker`."""
        tokens = sum(map(len, parts))
        together = self._input(next(rows for rows in PREFILL_BUCKETS if rows >= tokens))
        together.load(parts, pieces, self._spare)
        self._read(together)

    def clear(self, slot: int, positions: int) -> None:
        """See `Talker`: kernels read nothing behind a row's own position."""

    def step(self, x: Tensor, batch: Batch, positions: Tensor, span: int) -> Tensor:
        """See `Talker`; how far to attend is read on the device."""
        hidden = self._decoder(x, self._arena, batch.slots, positions)
        self._hidden.index_copy_(0, batch.slots, hidden)
        return hidden

    def _input(self, rows: int) -> _Input:
        """Where so many tokens are read from. Capturing that does it more than once, so the first are nobody's."""
        together = self._inputs.get(rows)
        if together is None:
            together = _Input(rows, self._hidden)
            together.load([], [], self._spare)
            self._read(together)
            self._inputs[rows] = together
        return together

    def _read(self, together: _Input) -> None:
        def work() -> None:
            hidden = self._decoder(together.x, self._arena, together.slots, together.positions)
            self._hidden.index_copy_(0, together.targets, hidden)

        self._graphs.run(("read", len(together.x)), work)


class _Input:
    """Tokens that are read at once, in tensors that stay where they are."""

    def __init__(self, rows: int, like: Tensor) -> None:
        """`like` (..., hidden) is of the tokens' width, type and device."""
        self.x = like.new_zeros(rows, like.shape[1])
        self._lines = torch.zeros(3, rows, dtype=torch.int64, device=like.device)
        self.slots, self.positions, self.targets = self._lines.unbind(0)
        """Whose each is and where it goes; who keeps its hidden state: the slot, of the last one, and else nobody."""

    def load(self, parts: Sequence[Tensor], pieces: Sequence[Piece], spare: int) -> None:
        """Take these tokens; the rest is filled up with zeros, which go to the spare slot."""
        tokens = [
            (piece.slot, position, piece.slot if position == piece.stop - 1 else spare)
            for piece in pieces
            for position in range(piece.start, piece.stop)
        ]
        padding = len(self.x) - len(tokens)
        torch.cat([*parts, self.x.new_zeros(padding, self.x.shape[1])], out=self.x)
        upload(self._lines, list(zip(*tokens, *[(spare, 0, spare)] * padding, strict=True)))


class FusedContext:
    """A cache whose slots are the rows."""

    def __init__(self, stack: DecoderWeights, *, rows: int, positions: int) -> None:
        """`rows`: of the largest batch."""
        device = stack.norm.device
        self._decoder = FusedDecoder(stack, positions)
        shape = len(stack.layers), rows, positions, 2 * stack.key_value_heads, stack.head_dim
        self._cache = torch.zeros(shape, device=device, dtype=stack.norm.dtype)
        self._rows = torch.arange(rows, device=device)
        self._rows_twice = self._rows.repeat_interleave(2)
        self._both = torch.arange(2, device=device).repeat(rows)
        self._positions = torch.arange(positions, device=device)[:, None].repeat(1, rows).unbind(0)

    def first_two(self, x: Tensor) -> Tensor:
        """See `Context`."""
        hidden = self._decoder(x, self._cache, self._rows_twice[: len(x)], self._both[: len(x)])
        return hidden.unflatten(0, (-1, 2))[:, 1]

    def next(self, x: Tensor, position: int) -> Tensor:
        """See `Context`."""
        return self._decoder(x, self._cache, self._rows[: len(x)], self._positions[position][: len(x)])


class FusedDrawing(Drawing):
    """A kernel a draw, which makes its noise itself."""

    def chance(self, batch: Batch, frames: Tensor) -> Tensor:
        """The frames' numbers."""
        return frames

    def first(self, batch: Batch, scores: Tensor, drawn: Tensor, chance: Tensor | None) -> Tensor:
        """See `Drawing`."""
        rules = Rules(self._seen, batch.slots, batch.penalty, drawn, batch.least, self.end, self._control)
        return FusedSampler(batch.talker, batch.keys, self._numbers).draw(scores, chance, self._others, rules)

    def other(self, batch: Batch, book: int, scores: Tensor, chance: Tensor | None) -> Tensor:
        """See `Drawing`."""
        return FusedSampler(batch.predictor, batch.keys, self._numbers).draw(scores, chance, self.place(book))
