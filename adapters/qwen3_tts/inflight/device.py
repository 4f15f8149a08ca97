"""The streams' state on the device, by slot, and what is computed with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch
from adapters.qwen3_tts.inflight.drawing import Drawing
from adapters.qwen3_tts.inflight.graphs import Graphs
from adapters.qwen3_tts.inflight.plain import PlainContext, PlainDrawing, PlainTalker
from adapters.qwen3_tts.inflight.predictor import Context, Predictor
from adapters.qwen3_tts.inflight.talker import Piece, Talker
from adapters.qwen3_tts.inflight.weights import Weights


class Device:
    """Opens, reads, begins, advances and clears slots. Nothing here waits for a result.

    Beginning and advancing a batch, and reading so many tokens, is each work of one kind (see `Graphs`).
    """

    def __init__(
        self,
        weights: Weights,
        talker: Talker,
        context: Context,
        drawing: Drawing,
        graphs: Graphs,
        *,
        slots: int,
        positions: int,
    ) -> None:
        self._positions = positions
        self._talker = talker
        self._predictor = Predictor(weights, context)
        self._drawing = drawing
        self._graphs = graphs
        device, hidden = weights.device, weights.codec_head.shape[1]
        self._counters = torch.zeros(3, slots, dtype=torch.int64, device=device)
        """Codebook 0's code of the frame in work, the talker's next position, the number of the frame."""
        self._text = torch.zeros(slots, positions, hidden, dtype=weights.dtype, device=device)
        """What is added to the frames, one row each; the last one to all that follow."""
        self._last_text = torch.zeros(slots, dtype=torch.int64, device=device)

    @classmethod
    def plain(cls, weights: Weights, *, slots: int, positions: int, rows: int) -> Device:
        """In plain torch, with batches of at most so many rows."""
        talker = PlainTalker(weights, slots=slots, positions=positions)
        context = PlainContext(weights.predictor, rows=rows, positions=len(weights.code_embeddings))
        graphs = Graphs(weights.device, enabled=False)
        return cls(weights, talker, context, PlainDrawing(weights, slots), graphs, slots=slots, positions=positions)

    @classmethod
    def fused(cls, weights: Weights, *, slots: int, positions: int, rows: int, graphs: Graphs) -> Device:
        """By kernels."""
        from adapters.qwen3_tts.inflight.fused import (  # noqa: PLC0415 - not everywhere is what it needs
            FusedContext,
            FusedDrawing,
            FusedTalker,
        )

        talker = FusedTalker(weights, slots=slots, positions=positions, graphs=graphs)
        context = FusedContext(weights.predictor, rows=rows, positions=len(weights.code_embeddings))
        return cls(weights, talker, context, FusedDrawing(weights, slots), graphs, slots=slots, positions=positions)

    def preparations(self) -> Sequence[Callable[[], object]]:
        """What is to be done once, at load, besides a first use of each size of batch."""
        return self._talker.preparations()

    def open(self, slot: int, tokens: int, trailing: Tensor) -> None:
        """Take a stream whose prompt has so many tokens, none of which is read yet."""
        trailing = trailing[: self._positions]
        self._text[slot, : len(trailing)].copy_(trailing)
        self._last_text[slot].fill_(len(trailing) - 1)
        self._drawing.forget(slot)
        self._counters[:, slot].zero_()
        self._counters[1, slot].fill_(tokens)

    def read(self, parts: Sequence[Tensor], pieces: Sequence[Piece]) -> None:
        """Read the tokens `parts` of as many pieces, each (tokens, hidden)."""
        self._talker.read(parts, pieces)

    def rewind(self, slot: int) -> None:
        """Let a slot that is nobody's stand at its beginning: how long rows take depends on how far they attend."""
        self._counters[1, slot].zero_()

    def begin(self, batch: Batch) -> None:
        """Draw the first code of streams whose prompt is read to its end."""
        self._graphs.run(("begin", batch.rows), partial(self._begin, batch))

    def advance(self, batch: Batch, span: int) -> tuple[Tensor, Tensor]:
        """One frame of the batch, whose positions are below `span`: codes (rows, 16), and which rows ended (rows,)."""
        return self._graphs.run(("frame", batch.rows), partial(self._advance, batch, span))

    def clear(self, slot: int, positions: int) -> None:
        """Forget a stream that used so many positions."""
        self._talker.clear(slot, positions)

    def _begin(self, batch: Batch) -> None:
        _, position, frame = self._counters.index_select(1, batch.slots).unbind(0)
        chance = self._drawing.chance(batch, frame - 1)
        self._begin_frame(batch, self._talker.hidden(batch.slots), position, frame, chance)

    def _advance(self, batch: Batch, span: int) -> tuple[Tensor, Tensor]:
        code, position, frame = self._counters.index_select(1, batch.slots).unbind(0)
        chance = self._drawing.chance(batch, frame)

        def draw(book: int, scores: Tensor) -> Tensor:
            return self._drawing.other(batch, book, scores, chance)

        codes, x = self._predictor.complete(self._talker.hidden(batch.slots), code, draw)
        text = torch.minimum(frame, self._last_text.index_select(0, batch.slots)) + batch.slots * self._positions
        x = x.add_(self._text.flatten(0, 1).index_select(0, text))
        hidden = self._talker.step(x, batch, position, span)
        self._begin_frame(batch, hidden, (position + 1).clamp_(max=self._positions - 1), frame + 1, chance)
        ended = code == self._drawing.end
        return codes.masked_fill_(ended[:, None], 0), ended

    def _begin_frame(
        self, batch: Batch, hidden: Tensor, position: Tensor, frame: Tensor, chance: Tensor | None
    ) -> None:
        """Draw codebook 0's code of the rows' next frames; `frame` is also how many were drawn before."""
        code = self._drawing.first(batch, self._talker.scores(hidden), frame, chance)
        self._counters.index_copy_(1, batch.slots, torch.stack([code, position, frame]))
