"""One frame at a time for many streams at once: codebook 0's code is known, the others and the next one are drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.batch import Batch
from adapters.qwen3_tts.inflight.device import Device
from adapters.qwen3_tts.inflight.graphs import Graphs, buckets_up_to
from adapters.qwen3_tts.inflight.kernels import available
from adapters.qwen3_tts.inflight.prompt import Prompt
from adapters.qwen3_tts.inflight.sampling import Sampling
from adapters.qwen3_tts.inflight.talker import PREFILL_BUCKETS, Piece
from adapters.qwen3_tts.inflight.weights import Weights

_SPAN = 64
"""Positions are attended to in multiples of it, so that there are few shapes."""


@dataclass(frozen=True, eq=False)
class Frames:
    """A frame of each of some slots. Its tensors are good until the stepper is next asked for anything."""

    codes: Tensor
    """(n, 16) int64, on the device; of a row that ended they are 0, and no frame."""
    ended: Tensor
    """(n,) bool, on the device: the stream is over, and its slot is to be released."""


@dataclass
class _Stream:
    """What the host knows of a slot in use."""

    sampling: Sampling
    tokens: int
    """Of its prompt."""
    prompt: Tensor | None
    """(tokens, hidden); None once it is read."""
    position: int = 0
    """Where its next token goes."""

    @property
    def unread(self) -> int:
        """How many tokens of its prompt are still to be read."""
        return max(0, self.tokens - self.position)

    def take(self, piece: Piece) -> Tensor:
        """The tokens of a piece that is about to be read, (tokens, hidden)."""
        assert self.prompt is not None
        tokens = self.prompt[piece.start : piece.stop]
        self.position = piece.stop
        if not self.unread:
            self.prompt = None
        return tokens


class FrameStepper:
    """One checkpoint, with `slots` streams of at most `positions` prompt tokens and frames each. For one thread."""

    def __init__(
        self,
        weights: Weights,
        *,
        slots: int,
        positions: int,
        buckets: Sequence[int] = (),
        fused: bool | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        """`fused`: by kernels, or in plain torch; if None, by kernels where the device runs them.

        `buckets`: the batch sizes that there are, in rising order. Without any, a batch is as large as asked; by
        kernels, filled up to a power of two or `slots`. `graphs`: of this stepper alone; if None, as the device has
        them. They capture what kernels do, and are not for plain torch.
        """
        self.slots = slots
        self.positions = positions
        fused = available(weights.device) if fused is None else fused
        self._weights = weights
        self._fused = fused
        self._buckets = buckets or (buckets_up_to(slots) if fused else ())
        self._streams: dict[int, _Stream] = {}
        self._batches: dict[int, Batch] = {}
        sizes = {"slots": slots + 1, "positions": positions, "rows": max([slots, *self._buckets])}  # a slot is nobody's
        if fused:
            graphs = Graphs(weights.device, urgent=True) if graphs is None else graphs
            self._device = Device.fused(weights, graphs=graphs, **sizes)
        else:
            self._device = Device.plain(weights, **sizes)

    def capture(self, progress: Callable[[int, int], None]) -> None:
        """Do all that will ever be done once, for nobody: kernels are compiled, and graphs captured; no slot changes.

        `progress` hears (done, of how many). In plain torch there is nothing to do.
        """
        works: list[Callable[[], object]] = [partial(self._batch_of, rows) for rows in reversed(self._buckets)]
        works += self._device.preparations()
        with torch.inference_mode():
            for done, work in enumerate(works, start=1):
                work()
                progress(done, len(works))

    def open(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """Start a stream in a free slot; its prompt, whose tensors are computed already, is yet to be read.

        Raises `ValueError` for a slot in use, or a prompt that leaves no position for a frame.
        """
        tokens = len(prompt.embeddings)
        if slot in self._streams or not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} is not free")
        if tokens >= self.positions:
            raise ValueError(f"the prompt has {tokens} tokens; a slot has {self.positions} positions")
        if prompt.embeddings.is_cuda:  # who made them may let go of them before they are read
            for tensor in (prompt.embeddings, prompt.trailing):
                tensor.record_stream(torch.cuda.current_stream())
        with torch.inference_mode():
            self._device.open(slot, tokens, prompt.trailing)
        self._streams[slot] = _Stream(sampling, tokens, prompt.embeddings)

    def unread(self, slot: int) -> int:
        """How many tokens of the slot's prompt are still to be read; raises `ValueError` for one not in use."""
        return self._stream(slot).unread

    def read(self, portions: Mapping[int, int]) -> None:
        """Read on in the slots' prompts, so many tokens of each; those that are complete draw their first code.

        Raises `ValueError`, before anything is read, for a slot that is not in use, no tokens, or more than there are.
        """
        for slot, tokens in portions.items():
            if not 0 < tokens <= self.unread(slot):
                raise ValueError(f"slot {slot} has {self.unread(slot)} tokens to read, not {tokens}")
        pieces = [
            Piece(slot, self._streams[slot].position, self._streams[slot].position + tokens)
            for slot, tokens in portions.items()
        ]
        with torch.inference_mode():
            for together in _packed(pieces):
                self._read(together)

    def prefill(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """Start a stream and read all of its prompt; raises as `open` does."""
        self.open(slot, prompt, sampling)
        self.read({slot: len(prompt.embeddings)})

    def step(self, slots: Sequence[int]) -> Frames:
        """The next frame of these slots, in their order; the host does not wait for it.

        Raises `ValueError` for a slot that is not in use, whose prompt is not read, or that has no position left.
        """
        streams = [self._speaking(slot) for slot in slots]
        needed = 1 + max(stream.position for stream in streams)
        span = min(-(-needed // _SPAN) * _SPAN, self.positions)
        for stream in streams:
            stream.position += 1
        with torch.inference_mode():
            batch = self._batch(slots)
            codes, ended = self._device.advance(batch, span)
        return Frames(codes[: len(slots)], ended[: len(slots)])

    def release(self, slot: int) -> None:
        """Make a slot free again, whatever its stream has come to; raises `ValueError` for one that is not in use."""
        position = self._stream(slot).position
        with torch.inference_mode():
            self._device.clear(slot, position)
        del self._streams[slot]

    def _read(self, pieces: Sequence[Piece]) -> None:
        """Read pieces that go through the layers together."""
        self._device.read([self._streams[piece.slot].take(piece) for piece in pieces], pieces)
        complete = [piece.slot for piece in pieces if not self._streams[piece.slot].unread]
        if complete:
            self._device.begin(self._batch(complete))

    def _batch(self, slots: Sequence[int]) -> Batch:
        """A batch of these slots, filled up to a size that there is with the slot that is nobody's."""
        rows = next((bucket for bucket in self._buckets if bucket >= len(slots)), len(slots))
        batch = self._batch_of(rows)
        padding = rows - len(slots)
        samplings = [self._streams[slot].sampling for slot in slots]
        batch.load((*slots, *[self.slots] * padding), (*samplings, *samplings[:1] * padding))
        if padding:
            self._device.rewind(self.slots)
        return batch

    def _batch_of(self, rows: int) -> Batch:
        """The batch of so many rows. Capturing its work does it more than once, so its first is nobody's."""
        batch = self._batches.get(rows)
        if batch is None:
            batch = Batch(self._weights, rows)
            if self._fused:
                batch.load((self.slots,) * rows, (Sampling(),) * rows)
                self._device.begin(batch)
                self._device.advance(batch, self.positions)
            self._batches[rows] = batch
        return batch

    def _stream(self, slot: int) -> _Stream:
        stream = self._streams.get(slot)
        if stream is None:
            raise ValueError(f"slot {slot} is not in use")
        return stream

    def _speaking(self, slot: int) -> _Stream:
        stream = self._stream(slot)
        if stream.unread:
            raise ValueError(f"slot {slot} has {stream.unread} tokens of its prompt to read")
        if stream.position == self.positions:
            raise ValueError(f"slot {slot} has used all of its {self.positions} positions")
        return stream


def _packed(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """The pieces, divided where they must be, in lists of as many tokens as are read together."""
    left = deque(pieces)
    packed: list[Piece] = []
    room = PREFILL_BUCKETS[-1]
    while left:
        slot, start, stop = left.popleft()
        end = min(stop, start + room)
        packed.append(Piece(slot, start, end))
        room -= end - start
        if end < stop:
            left.appendleft(Piece(slot, end, stop))
        if not room or not left:
            yield packed
            packed, room = [], PREFILL_BUCKETS[-1]
