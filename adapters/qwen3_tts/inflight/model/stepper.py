"""Frames for many streams, one at a time.

The code of codebook 0 is known at the start of a step. The step draws the other codebooks, and codebook 0 of the next
frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from adapters.inflight.cuda_streams import hold_for_stream
from adapters.qwen3_tts.inflight.device.graphs import Graphs, buckets_up_to
from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.kernels import available
from adapters.qwen3_tts.inflight.model.model_runner import ModelRunner
from adapters.qwen3_tts.inflight.model.prompt import Prompt
from adapters.qwen3_tts.inflight.model.prompt_prefix import PromptPrefix
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.talker import PREFILL_BUCKETS, PrefillChunk
from adapters.qwen3_tts.inflight.model.weights import Weights

SPAN = 64
"""The number of attended positions is rounded up to a multiple of this, so that there are few shapes."""


@dataclass(frozen=True, eq=False)
class Frames:
    """A frame of some slots. The tensors are valid until the next call of the stepper."""

    codes: Tensor
    """(n, 16) int64, on the device. Rows that ended are 0, and are no frame."""
    ended: Tensor
    """(n,) bool, on the device: the stream has ended, and its slot must be released."""


@dataclass
class _SlotState:
    """The host's state of a slot in use."""

    sampling: SamplingParams
    tokens: int
    """Tokens of the prompt."""
    prompt: Tensor | None
    """(tokens, hidden); None once it is prefilled."""
    prefix: PromptPrefix | None = None
    """The beginning of the prompt, if its keys and values are to be kept."""
    position: int = 0
    """The position of the next token."""

    @property
    def unprefilled(self) -> int:
        """The number of prompt tokens that are not prefilled yet."""
        return max(0, self.tokens - self.position)

    def take_tokens(self, chunk: PrefillChunk) -> Tensor:
        """Return the tokens (tokens, hidden) of a chunk that will be prefilled now."""
        assert self.prompt is not None
        tokens = self.prompt[chunk.start : chunk.stop]
        self.position = chunk.stop
        if not self.unprefilled:
            self.prompt = None
        return tokens


class FrameStepper:
    """A model with `slots` streams of at most `positions` prompt tokens and frames each. For one thread."""

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
        """`fused`: use the fused kernels instead of plain torch; by default wherever they run.

        `buckets`: the batch sizes, in rising order. Without them a batch has as many rows as slots are stepped; with
        kernels it is padded to a power of two or to `slots`. `graphs`: used by this stepper alone; by default, enabled
        if the device has them. Only the kernels can be captured, not plain torch.
        """
        self.slots = slots
        self.positions = positions
        fused = available(weights.device) if fused is None else fused
        self._weights = weights
        self._fused = fused
        self._buckets = buckets or (buckets_up_to(slots) if fused else ())
        self._states: dict[int, _SlotState] = {}
        self._batches: dict[int, Batch] = {}
        sizes = {
            "slots": slots + 1,
            "positions": positions,
            "rows": max([slots, *self._buckets]),
        }  # one spare slot for padding
        if fused:
            graphs = Graphs(weights.device, urgent=True) if graphs is None else graphs
            self._runner = ModelRunner.with_kernels(weights, graphs=graphs, **sizes)
        else:
            self._runner = ModelRunner.with_torch(weights, **sizes)

    def capture(self, progress: Callable[[int, int], None]) -> None:
        """Compile all kernels and capture all graphs. The state of all slots stays as it is.

        Calls `progress` with (done, total). In plain torch this does nothing.
        """
        works: list[Callable[[], object]] = [partial(self._batch_of, rows) for rows in reversed(self._buckets)]
        works += self._runner.warm_ups()
        with torch.inference_mode():
            for done, work in enumerate(works, start=1):
                work()
                progress(done, len(works))

    def open(self, slot: int, prompt: Prompt, sampling: SamplingParams) -> None:
        """Open a free slot. The prompt is prefilled later, without a prefix that is held; its tensors must be complete.

        Raises `ValueError` for a slot in use, or a prompt that leaves no position for a frame.
        """
        tokens = len(prompt.embeddings)
        if slot in self._states or not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} is not free")
        if tokens >= self.positions:
            raise ValueError(f"the prompt has {tokens} tokens; a slot has {self.positions} positions")
        hold_for_stream(prompt.embeddings, prompt.trailing)
        state = _SlotState(sampling, tokens, prompt.embeddings, prompt.prefix)
        with torch.inference_mode():
            self._runner.open(slot, tokens, prompt.trailing)
            if prompt.prefix and prompt.prefix.keys_values is not None:
                self._runner.restore(slot, prompt.prefix.keys_values)
                state.position, state.prefix = prompt.prefix.tokens, None
        self._states[slot] = state

    def unprefilled(self, slot: int) -> int:
        """Return the slot's prompt tokens that are not prefilled yet; raises `ValueError` for a slot not in use."""
        return self._state(slot).unprefilled

    def prefill(self, tokens_by_slot: Mapping[int, int]) -> None:
        """Prefill the next tokens of the slots' prompts. A stream with a complete prompt draws its first code.

        Raises `ValueError`, before any work, for a slot that is not in use, and for no tokens or more than there are.
        """
        for slot, tokens in tokens_by_slot.items():
            if not 0 < tokens <= self.unprefilled(slot):
                raise ValueError(f"slot {slot} has {self.unprefilled(slot)} tokens to prefill, not {tokens}")
        chunks = [
            PrefillChunk(slot, self._states[slot].position, self._states[slot].position + tokens)
            for slot, tokens in tokens_by_slot.items()
        ]
        with torch.inference_mode():
            for together in _pack(chunks):
                self._prefill(together)

    def start(self, slot: int, prompt: Prompt, sampling: SamplingParams) -> None:
        """Open a slot and prefill the whole prompt; raises as `open` does."""
        self.open(slot, prompt, sampling)
        self.prefill({slot: self.unprefilled(slot)})

    def step(self, slots: Sequence[int]) -> Frames:
        """Compute the next frame of these slots, in their order. The host does not wait for it.

        Raises `ValueError` for a slot that is not in use, is not prefilled, or has no position left.
        """
        states = [self._decodable(slot) for slot in slots]
        needed = 1 + max(state.position for state in states)
        span = min(-(-needed // SPAN) * SPAN, self.positions)
        for state in states:
            state.position += 1
        with torch.inference_mode():
            batch = self._batch(slots)
            codes, ended = self._runner.advance(batch, span)
        return Frames(codes[: len(slots)], ended[: len(slots)])

    def release(self, slot: int) -> None:
        """Free a slot, whatever the state of its stream; raises `ValueError` for a slot that is not in use."""
        position = self._state(slot).position
        with torch.inference_mode():
            self._runner.clear(slot, position)
        del self._states[slot]

    def _prefill(self, chunks: Sequence[PrefillChunk]) -> None:
        """Prefill chunks that fit into one pass through the layers."""
        self._runner.prefill([self._states[chunk.slot].take_tokens(chunk) for chunk in chunks], chunks)
        for chunk in chunks:
            self._keep_prefix(chunk.slot, self._states[chunk.slot])
        complete = [chunk.slot for chunk in chunks if not self._states[chunk.slot].unprefilled]
        if complete:
            self._runner.begin(self._batch(complete))

    def _keep_prefix(self, slot: int, state: _SlotState) -> None:
        """Keep the keys and values of a prefix once they are computed, for the next streams of the voice."""
        prefix = state.prefix
        if prefix is None or state.position < prefix.tokens:
            return
        state.prefix = None
        if prefix.keys_values is None:
            prefix.keys_values = self._runner.save(slot, prefix.tokens)

    def _batch(self, slots: Sequence[int]) -> Batch:
        """Return a batch of these slots, padded with the spare slot to one of the batch sizes."""
        rows = next((bucket for bucket in self._buckets if bucket >= len(slots)), len(slots))
        batch = self._batch_of(rows)
        padding = rows - len(slots)
        samplings = [self._states[slot].sampling for slot in slots]
        batch.load((*slots, *[self.slots] * padding), (*samplings, *samplings[:1] * padding))
        if padding:
            self._runner.rewind(self.slots)
        return batch

    def _batch_of(self, rows: int) -> Batch:
        """Return the batch of so many rows.

        A capture runs several times, so the first slots of a batch are the spare one.
        """
        batch = self._batches.get(rows)
        if batch is None:
            batch = Batch(self._weights, rows)
            if self._fused:
                batch.load((self.slots,) * rows, (SamplingParams(),) * rows)
                self._runner.begin(batch)
                self._runner.advance(batch, self.positions)
            self._batches[rows] = batch
        return batch

    def _state(self, slot: int) -> _SlotState:
        state = self._states.get(slot)
        if state is None:
            raise ValueError(f"slot {slot} is not in use")
        return state

    def _decodable(self, slot: int) -> _SlotState:
        state = self._state(slot)
        if state.unprefilled:
            raise ValueError(f"slot {slot} has {state.unprefilled} prompt tokens to prefill")
        if state.position == self.positions:
            raise ValueError(f"slot {slot} has used all its {self.positions} positions")
        return state


def _pack(chunks: Iterable[PrefillChunk]) -> Iterator[list[PrefillChunk]]:
    """Divide and group the chunks into lists that each fit into one pass through the layers."""
    left = deque(chunks)
    packed: list[PrefillChunk] = []
    room = PREFILL_BUCKETS[-1]
    while left:
        slot, start, stop = left.popleft()
        end = min(stop, start + room)
        packed.append(PrefillChunk(slot, start, end))
        room -= end - start
        if end < stop:
            left.appendleft(PrefillChunk(slot, end, stop))
        if not room or not left:
            yield packed
            packed, room = [], PREFILL_BUCKETS[-1]
