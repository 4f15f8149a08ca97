"""One frame at a time for many streams at once: codebook 0's code is known, the others and the next one are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch, Shape
from adapters.qwen3_tts.inflight.predictor import Predictor
from adapters.qwen3_tts.inflight.prompt import Prompt
from adapters.qwen3_tts.inflight.sampling import Noise, Sampling, penalised
from adapters.qwen3_tts.inflight.talker import Talker
from adapters.qwen3_tts.inflight.weights import Weights

_SPAN = 64
"""Positions are attended to in multiples of it, so that there are few shapes."""
_CONTROL_CODES = 1024
"""Of the talker's vocabulary, the last: of them only the end is ever drawn."""


@dataclass(frozen=True, eq=False)
class Frames:
    """A frame of each of some slots."""

    codes: Tensor
    """(n, 16) int64, on the device; of a row that ended they are 0, and no frame."""
    ended: Tensor
    """(n,) bool, on the device: the stream is over, and its slot is to be released."""


@dataclass
class _Stream:
    """What the host knows of a slot in use."""

    sampling: Sampling
    position: int
    """Where its next token goes."""


class FrameStepper:
    """One checkpoint, with `slots` streams of at most `positions` prompt tokens and frames each. For one thread."""

    def __init__(self, weights: Weights, *, slots: int, positions: int, buckets: Sequence[int] = ()) -> None:
        """`buckets`: the batch sizes that there are, in rising order; without any, a batch is as large as asked."""
        self.slots = slots
        self.positions = positions
        self._weights = weights
        self._buckets = buckets
        self._streams: dict[int, _Stream] = {}
        self._batches: dict[int, Batch] = {}
        self._opening = Batch(weights, 1)
        self._device = _Device(weights, slots + 1, positions, max([slots, *buckets]))

    def prefill(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """Start a stream in a free slot: its prompt is read, and its first code is drawn.

        Raises `ValueError` for a slot in use, or a prompt that leaves no position for a frame.
        """
        tokens = len(prompt.embeddings)
        if slot in self._streams or not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} is not free")
        if tokens >= self.positions:
            raise ValueError(f"the prompt has {tokens} tokens; a slot has {self.positions} positions")
        self._opening.load((slot,), (sampling,))
        with torch.inference_mode():
            self._device.open(slot, prompt, self._opening)
        self._streams[slot] = _Stream(sampling, tokens)

    def step(self, slots: Sequence[int]) -> Frames:
        """The next frame of these slots, in their order; the host does not wait for it.

        Raises `ValueError` for a slot that is not in use, or has no position left.
        """
        streams = [self._stream(slot) for slot in slots]
        rows = next((bucket for bucket in self._buckets if bucket >= len(slots)), len(slots))
        padding = rows - len(slots)
        batch = self._batches.get(rows) or self._batches.setdefault(rows, Batch(self._weights, rows))
        samplings = (*(stream.sampling for stream in streams), *[streams[0].sampling] * padding)
        batch.load((*slots, *[self.slots] * padding), samplings)  # the slot after the last is nobody's
        needed = 1 + max(stream.position for stream in streams)
        span = min(-(-needed // _SPAN) * _SPAN, self.positions)
        with torch.inference_mode():
            codes, ended = self._device.advance(batch, batch.shape(span))
        for stream in streams:
            stream.position += 1
        return Frames(codes[: len(slots)], ended[: len(slots)])

    def release(self, slot: int) -> None:
        """Make a slot free again; raises `ValueError` for one that is not in use."""
        if slot not in self._streams:
            raise ValueError(f"slot {slot} is not in use")
        with torch.inference_mode():
            self._device.clear(slot, self._streams.pop(slot).position)

    def _stream(self, slot: int) -> _Stream:
        stream = self._streams.get(slot)
        if stream is None:
            raise ValueError(f"slot {slot} is not in use")
        if stream.position == self.positions:
            raise ValueError(f"slot {slot} has used all of its {self.positions} positions")
        return stream


class _Device:
    """The streams' state on the device, by slot, and what is computed with it: nothing here waits for a result."""

    def __init__(self, weights: Weights, slots: int, positions: int, rows: int) -> None:
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

    def open(self, slot: int, prompt: Prompt, batch: Batch) -> None:
        """Read a prompt into a slot, which is also the only one of `batch`, and draw its first code."""
        trailing = prompt.trailing[: self._positions]
        self._text[slot, : len(trailing)].copy_(trailing)
        self._last_text[slot].fill_(len(trailing) - 1)
        self._seen[slot].zero_()
        hidden = self._talker.prefill(slot, prompt.embeddings)
        frame, position = torch.zeros_like(batch.slots), torch.full_like(batch.slots, len(prompt.embeddings))
        noise = self._noise.gumbel(batch.keys, frame - 1, slice(self._predicted, None)) if batch.samples else None
        self._begin_frame(batch, hidden, position, frame, noise)

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
