"""The state of all slots on the device, and the computation of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.code_sampler import CodeSampler
from adapters.qwen3_tts.inflight.model.predictor import Predictor, PredictorDecoder
from adapters.qwen3_tts.inflight.model.talker import PrefillChunk, Talker
from adapters.qwen3_tts.inflight.model.torch_backend import TorchCodeSampler, TorchPredictorDecoder, TorchTalker
from adapters.qwen3_tts.inflight.model.weights import Weights


class ModelRunner:
    """Opens, prefills, advances and clears slots. Nothing here waits for a result.

    The first draw, a frame, and a prefill of a given number of tokens are each one kind of work (see `Graphs`).
    """

    def __init__(
        self,
        weights: Weights,
        talker: Talker,
        decoder: PredictorDecoder,
        sampler: CodeSampler,
        graphs: Graphs,
        *,
        slots: int,
        positions: int,
    ) -> None:
        self._positions = positions
        self._talker = talker
        self._predictor = Predictor(weights, decoder)
        self._sampler = sampler
        self._graphs = graphs
        device, hidden = weights.device, weights.codec_head.shape[1]
        self._counters = torch.zeros(3, slots, dtype=torch.int64, device=device)
        """Rows: codebook 0's code of the current frame, the talker's next position, the number of the frame."""
        self._text = torch.zeros(slots, positions, hidden, dtype=weights.dtype, device=device)
        """Text embeddings to add to the frames, one row each; the last row to all later frames."""
        self._last_text = torch.zeros(slots, dtype=torch.int64, device=device)

    @classmethod
    def with_torch(cls, weights: Weights, *, slots: int, positions: int, rows: int) -> ModelRunner:
        """Compute in plain torch. `rows`: the largest batch."""
        talker = TorchTalker(weights, slots=slots, positions=positions)
        decoder = TorchPredictorDecoder(weights.predictor, rows=rows, positions=len(weights.code_embeddings))
        graphs = Graphs(weights.device, enabled=False)
        return cls(weights, talker, decoder, TorchCodeSampler(weights, slots), graphs, slots=slots, positions=positions)

    @classmethod
    def with_kernels(cls, weights: Weights, *, slots: int, positions: int, rows: int, graphs: Graphs) -> ModelRunner:
        """Compute with the fused kernels. `rows`: the largest batch."""
        from adapters.qwen3_tts.inflight.model.fused_backend import (  # noqa: PLC0415 - needs the Triton language
            FusedCodeSampler,
            FusedPredictorDecoder,
            FusedTalker,
        )

        talker = FusedTalker(weights, slots=slots, positions=positions, graphs=graphs)
        decoder = FusedPredictorDecoder(weights.predictor, rows=rows, positions=len(weights.code_embeddings))
        return cls(weights, talker, decoder, FusedCodeSampler(weights, slots), graphs, slots=slots, positions=positions)

    def warm_ups(self) -> Sequence[Callable[[], object]]:
        """Return the work to do once, at load, besides a first use of each batch size."""
        return self._talker.warm_ups()

    def open(self, slot: int, tokens: int, trailing: Tensor) -> None:
        """Open a slot for a stream with a prompt of so many tokens, which are prefilled later."""
        trailing = trailing[: self._positions]
        self._text[slot, : len(trailing)].copy_(trailing)
        self._last_text[slot].fill_(len(trailing) - 1)
        self._sampler.reset(slot)
        self._counters[:, slot].zero_()
        self._counters[1, slot].fill_(tokens)

    def save(self, slot: int, tokens: int) -> Tensor:
        """Return the talker's keys and values of a slot's first tokens, for `restore`."""
        return self._talker.save(slot, tokens)

    def restore(self, slot: int, keys_values: Tensor) -> None:
        """Set the talker's keys and values of a slot's first tokens, which are then prefilled."""
        self._talker.restore(slot, keys_values)

    def prefill(self, parts: Sequence[Tensor], chunks: Sequence[PrefillChunk]) -> None:
        """Prefill the tokens `parts` of as many chunks, each (tokens, hidden)."""
        self._talker.prefill(parts, chunks)

    def rewind(self, slot: int) -> None:
        """Set the spare slot back to its first position.

        The time of a row depends on the number of positions that it attends to.
        """
        self._counters[1, slot].zero_()

    def begin(self, batch: Batch) -> None:
        """Draw the first code of streams with a complete prompt."""
        self._graphs.run(("begin", batch.rows), partial(self._begin, batch))

    def advance(self, batch: Batch, span: int) -> tuple[Tensor, Tensor]:
        """Compute a frame. Return codes (rows, 16), and the rows that ended (rows,). All positions are below `span`."""
        return self._graphs.run(("frame", batch.rows), partial(self._advance, batch, span))

    def clear(self, slot: int, positions: int) -> None:
        """Clear a slot that has used so many positions."""
        self._talker.clear(slot, positions)

    def _begin(self, batch: Batch) -> None:
        _, position, frame = self._counters.index_select(1, batch.slots).unbind(0)
        noise = self._sampler.noise(batch, frame - 1)
        self._begin_frame(batch, self._talker.hidden(batch.slots), position, frame, noise)

    def _advance(self, batch: Batch, span: int) -> tuple[Tensor, Tensor]:
        code, position, frame = self._counters.index_select(1, batch.slots).unbind(0)
        noise = self._sampler.noise(batch, frame)

        def draw(book: int, scores: Tensor) -> Tensor:
            return self._sampler.draw_other(batch, book, scores, noise)

        codes, x = self._predictor.complete(self._talker.hidden(batch.slots), code, draw)
        text = torch.minimum(frame, self._last_text.index_select(0, batch.slots)) + batch.slots * self._positions
        x = x.add_(self._text.flatten(0, 1).index_select(0, text))
        hidden = self._talker.step(x, batch, position, span)
        self._begin_frame(batch, hidden, (position + 1).clamp_(max=self._positions - 1), frame + 1, noise)
        ended = code == self._sampler.end
        return codes.masked_fill_(ended[:, None], 0), ended

    def _begin_frame(self, batch: Batch, hidden: Tensor, position: Tensor, frame: Tensor, noise: Tensor | None) -> None:
        """Draw codebook 0's code of the rows' next frames. `frame` is also the number of codes drawn before."""
        code = self._sampler.draw_first(batch, self._talker.scores(hidden), frame, noise)
        self._counters.index_copy_(1, batch.slots, torch.stack([code, position, frame]))
