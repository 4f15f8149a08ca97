"""The computation in plain torch, on any device: the reference of all tests, and the backend on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapters.inflight.attention import attend, causal_mask, keys_and_values
from adapters.inflight.noise import GumbelNoise
from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.code_sampler import CodeSampler
from adapters.qwen3_tts.inflight.model.layers import Attend, Decoder
from adapters.qwen3_tts.inflight.model.row_sampler import penalized
from adapters.qwen3_tts.inflight.model.talker import PrefillChunk, Talker
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights, Weights


class TorchTalker(Talker):
    """Attends to a span of positions, with a mask for those that a slot has not reached."""

    def __init__(self, weights: Weights, *, slots: int, positions: int) -> None:
        super().__init__(weights, slots=slots, positions=positions)
        self._decoder = Decoder(weights.talker, positions)
        self._group = weights.talker.heads // weights.talker.key_value_heads
        self._lines = self._arena.flatten(1, 2).unbind(0)
        self._ahead = torch.arange(positions, device=weights.device)

    def prefill(self, parts: Sequence[Tensor], chunks: Sequence[PrefillChunk]) -> None:
        """See `Talker`. Each chunk has its own attention; the matrices take all chunks together."""
        counts = [len(part) for part in parts]
        x = torch.cat(list(parts))
        masks = [
            causal_mask(count, self._group, x.device, x.dtype, before=chunk.start)
            for chunk, count in zip(chunks, counts, strict=True)
        ]

        def attend_chunks(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            attended = []
            of_each = zip(chunks, masks, queries.split(counts), keys_values.split(counts), strict=True)
            for chunk, mask, query, new in of_each:
                cache = self._arena[layer, chunk.slot : chunk.slot + 1, : chunk.stop]
                cache[0, chunk.start :].copy_(new)
                attended.append(attend(query, *keys_and_values(cache), mask))
            return torch.cat(attended)

        positions = torch.cat([self._ahead[chunk.start : chunk.stop] for chunk in chunks])
        x = self._decoder(x, self._decoder.rotations(positions), attend_chunks)
        last = self._decoder.norm(torch.stack([tokens[-1] for tokens in x.split(counts)]))
        for chunk, hidden in zip(chunks, last, strict=True):
            self._hidden[chunk.slot].copy_(hidden)

    def step(self, x: Tensor, batch: Batch, positions: Tensor, span: int) -> Tensor:
        """See `Talker`. The keys of consecutive slots are read in place."""
        slots, first = batch.slots, batch.first_slot
        lines = slots * self._positions + positions
        mask = torch.zeros(batch.rows, 1, 1, span, device=x.device, dtype=x.dtype)
        mask.masked_fill_((self._ahead[:span] > positions[:, None])[:, None, None], -torch.inf)
        arena = self._arena[:, :, :span] if first is None else self._arena[:, first : first + batch.rows, :span]
        caches = arena.unbind(0)

        def attend_slots(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            self._lines[layer].index_copy_(0, lines, keys_values)
            cache = caches[layer].index_select(0, slots) if first is None else caches[layer]
            return attend(queries, *keys_and_values(cache), mask)

        hidden = self._decoder.norm(self._decoder(x, self._decoder.rotations(positions), attend_slots))
        self._hidden.index_copy_(0, slots, hidden)
        return hidden

    def clear(self, slot: int, positions: int) -> None:
        """See `Talker`. Masked values must still be finite."""
        self._arena[:, slot, :positions].zero_()


class TorchPredictorDecoder:
    """The predictor's layers. All rows are at the same position, so no lookup is needed."""

    def __init__(self, stack: DecoderWeights, *, rows: int, positions: int) -> None:
        """`rows`: the largest batch."""
        self._decoder = Decoder(stack, positions)
        device, dtype = stack.norm.device, stack.norm.dtype
        each = torch.arange(positions, device=device)
        self._first_two = [table.repeat(rows, 1, 1) for table in self._decoder.rotations(each[:2])]
        self._later = [self._decoder.rotations(each[i : i + 1]) for i in range(2, positions)]
        self._mask = causal_mask(2, stack.heads // stack.key_value_heads, device, dtype)
        shape = len(stack.layers), rows, positions, 2 * stack.key_value_heads, stack.head_dim
        self._cache = torch.zeros(shape, device=device, dtype=dtype)

    def first_two(self, x: Tensor) -> Tensor:
        """See `PredictorDecoder`."""
        rows = len(x) // 2
        cos, sin = self._first_two
        x = self._decoder(x, (cos[: 2 * rows], sin[: 2 * rows]), self._attend(rows, slice(2), self._mask))
        return self._decoder.norm(x.view(rows, 2, -1)[:, 1])

    def next(self, x: Tensor, position: int) -> Tensor:
        """See `PredictorDecoder`."""
        attend_all = self._attend(len(x), slice(position, position + 1), None)
        return self._decoder.norm(self._decoder(x, self._later[position - 2], attend_all))

    def _attend(self, rows: int, positions: slice, mask: Tensor | None) -> Attend:
        """Return attention from these positions to all up to the last of them."""
        targets = self._cache[:, :rows, positions].unbind(0)
        keys, values = (each.unbind(0) for each in keys_and_values(self._cache[:, :rows, : positions.stop]))

        def attend_all(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            targets[layer].copy_(keys_values.view(targets[layer].shape))
            return attend(queries, keys[layer], values[layer], mask)

        return attend_all


class TorchCodeSampler(CodeSampler):
    """Draws for all rows at once. The draw plans of the batch choose the operations."""

    def __init__(self, weights: Weights, slots: int) -> None:
        super().__init__(weights, slots)
        self._noise = GumbelNoise(self._numbers, weights.device)
        ids = torch.arange(len(weights.codec_head), device=weights.device)
        self._is_end = ids == self.end
        self._suppressed = (ids >= self._control) & ~self._is_end
        self._true = torch.ones((), dtype=torch.bool, device=weights.device)

    def noise(self, batch: Batch, frames: Tensor) -> Tensor | None:
        """Return the noise of all draws, or None if no row samples."""
        return self._noise.gumbel(batch.keys, frames) if batch.any_sampled else None

    def draw_first(self, batch: Batch, scores: Tensor, drawn: Tensor, noise: Tensor | None) -> Tensor:
        """See `CodeSampler`."""
        scores = penalized(scores.float(), self._seen.index_select(0, batch.slots), batch.penalty)
        too_soon = self._is_end & (drawn < batch.min_tokens)[:, None]
        scores.masked_fill_(too_soon.logical_or_(self._suppressed), -torch.inf)
        codes = batch.talker.draw(scores, None if noise is None else noise[:, self._first_offset :])
        self._seen.index_put_((batch.slots, codes), self._true)
        return codes

    def draw_other(self, batch: Batch, book: int, scores: Tensor, noise: Tensor | None) -> Tensor:
        """See `CodeSampler`."""
        offset = self.noise_offset(book)
        own_noise = None if noise is None else noise[:, offset : offset + self._codes]
        return batch.predictor.draw(scores.float(), own_noise)
