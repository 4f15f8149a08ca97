"""The streams' state on the device, by slot, and what is computed with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch, Shape
from adapters.qwen3_tts.inflight.predictor import Predictor
from adapters.qwen3_tts.inflight.sampling import Noise, penalised
from adapters.qwen3_tts.inflight.talker import Piece, Talker
from adapters.qwen3_tts.inflight.weights import Weights

_CONTROL_CODES = 1024
"""Of the talker's vocabulary, the last: of them only the end is ever drawn."""


class Device:
    """Opens, reads, begins, advances and clears slots. Nothing here waits for a result."""

    def __init__(self, weights: Weights, slots: int, positions: int, rows: int) -> None:
        """`rows`: of the largest batch."""
        config, device = weights.config["talker_config"], weights.device
        vocabulary, hidden = weights.code_embeddings[0].shape
        self._books = len(weights.predictor_heads)
        self._predicted = self._books * len(weights.predictor_heads[0])  # scores of a frame
        self._positions = positions
        self._talker = Talker(weights, slots=slots, positions=positions)
        self._predictor = Predictor(weights, rows)
        self._noise = Noise(self._predicted + vocabulary, device)
        self._end: int = config["codec_eos_token_id"]
        ids = torch.arange(vocabulary, device=device)
        self._is_end = ids == self._end
        self._suppressed = (ids >= vocabulary - _CONTROL_CODES) & ~self._is_end
        self._true = torch.ones((), dtype=torch.bool, device=device)
        self._counters = torch.zeros(slots, 3, dtype=torch.int64, device=device)
        """Codebook 0's code of the frame in work, the talker's next position, the number of the frame."""
        self._hidden = torch.zeros(slots, hidden, dtype=weights.dtype, device=device)
        """The talker's last hidden states."""
        self._seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=device)
        """Which codes of codebook 0 were drawn."""
        self._text = torch.zeros(slots, positions, hidden, dtype=weights.dtype, device=device)
        """What is added to the frames, one row each; the last one to all that follow."""
        self._last_text = torch.zeros(slots, dtype=torch.int64, device=device)

    def open(self, slot: int, tokens: int, trailing: Tensor) -> None:
        """Take a stream whose prompt has so many tokens, none of which is read yet."""
        trailing = trailing[: self._positions]
        self._text[slot, : len(trailing)].copy_(trailing)
        self._last_text[slot].fill_(len(trailing) - 1)
        self._seen[slot].zero_()
        self._counters[slot].zero_()
        self._counters[slot, 1].fill_(tokens)

    def read(self, x: Tensor, pieces: Sequence[Piece]) -> None:
        """Read the pieces' tokens, `x` (tokens, hidden), one piece after the other, of as many slots."""
        for piece, hidden in zip(pieces, self._talker.read(x, pieces), strict=True):
            self._hidden[piece.slot].copy_(hidden)

    def begin(self, batch: Batch) -> None:
        """Draw the first code of streams whose prompt is read to its end."""
        _, position, frame = self._counters.index_select(0, batch.slots).unbind(1)
        noise = self._noise.gumbel(batch.keys, frame - 1, slice(self._predicted, None)) if batch.samples else None
        self._begin_frame(batch, self._hidden.index_select(0, batch.slots), position, frame, noise)

    def advance(self, batch: Batch, shape: Shape) -> tuple[Tensor, Tensor]:
        """One frame of the batch: codes (rows, 16), and which rows ended (rows,). `shape` decides on the operations."""
        code, position, frame = self._counters.index_select(0, batch.slots).unbind(1)
        noise = self._noise.gumbel(batch.keys, frame) if batch.samples else None
        to_predictor = noise[:, : self._predicted].unflatten(1, (self._books, -1)) if noise is not None else None
        to_talker = noise[:, self._predicted :] if noise is not None else None
        hidden = self._hidden.index_select(0, batch.slots)
        codes, x = self._predictor.complete(hidden, code, batch.predictor, to_predictor)
        text = torch.minimum(frame, self._last_text.index_select(0, batch.slots)) + batch.slots * self._positions
        x = x.add_(self._text.flatten(0, 1).index_select(0, text))
        hidden = self._talker.step(x, batch.slots, position, shape.span, shape.first_slot)
        self._begin_frame(batch, hidden, (position + 1).clamp_(max=self._positions - 1), frame + 1, to_talker)
        ended = code == self._end
        return codes.masked_fill_(ended[:, None], 0), ended

    def clear(self, slot: int, positions: int) -> None:
        """Forget a stream that used so many positions."""
        self._talker.clear(slot, positions)

    def _begin_frame(self, batch: Batch, hidden: Tensor, position: Tensor, frame: Tensor, noise: Tensor | None) -> None:
        """Draw codebook 0's code of the rows' next frames; `frame` is also how many were drawn before."""
        scores = penalised(self._talker.scores(hidden), self._seen.index_select(0, batch.slots), batch.penalty)
        too_soon = self._is_end & (frame < batch.least)[:, None]
        code = batch.talker.draw(scores.masked_fill_(too_soon.logical_or_(self._suppressed), -torch.inf), noise)
        self._seen.index_put_((batch.slots, code), self._true)
        self._hidden.index_copy_(0, batch.slots, hidden)
        self._counters.index_copy_(0, batch.slots, torch.stack([code, position, frame], 1))
