"""A fake model: a stream has as many frames as its text has words, and its codes and audio identify it.

The fakes replace the stepper and the codec, and reject what those could not do. They prove nothing about the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.io.input_processor import PreparedInput
from adapters.qwen3_tts.inflight.model.prompt import Prompt
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import Frames
from adapters.qwen3_tts.request import QwenRequest
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SpeechDescription
from tritone.errors import InvalidInput

WAIT = 300
DESCRIPTION = SpeechDescription((), ("en",), "", (1.0, 1.0))
PROMPT = 5
"""Positions of a prompt, by default."""


def codes_of(key: int, frame: int) -> list[int]:
    """Return the codes of a frame of the request `key`."""
    return [(key * 131 + frame * 17 + book) % 997 for book in range(16)]


def audio_of(key: int, frames: int) -> np.ndarray:
    """Return the audio of the first frames of the request `key`. It depends on each frame's codes and number."""
    levels = [_level(sum(codes_of(key, frame)), frame) for frame in range(frames)]
    return np.repeat(np.array(levels, np.float32), 1920)


def _level(codes: int, frame: int) -> float:
    return 0.1 + ((codes * 7 + frame * 13) % 800) / 1000


@dataclass
class FakeInputProcessor:
    description: SpeechDescription = DESCRIPTION
    breaks_on: str | None = None
    prompts: dict[int, int] = field(default_factory=dict)
    """Key -> tokens of its prompt."""
    held: threading.Event | None = None
    """If given, preparation waits for it."""
    new_voices: frozenset[int] = frozenset()
    """The keys of requests with a voice that is not cached."""
    encoding: threading.Event = field(default_factory=threading.Event)
    """Encoding a voice waits for it."""

    def check(self, request: SpeechRequest) -> QwenRequest:
        if request.text == "?":
            raise InvalidInput("text", "is not supported")
        limit = request.options.max_new_tokens
        return QwenRequest(
            text=request.text, text_tokens=len(request.text.split()), speaker="", language="auto", instruct="",
            reference=None, reference_text=None, options=request.options, max_tokens=limit or 64,
            limit_reason="length" if limit else "runaway",
        )  # fmt: skip

    def prepare_if_cached(self, request: QwenRequest) -> PreparedInput | None:
        if self.held:
            assert self.held.wait(WAIT)
        return None if request.options.seed in self.new_voices else self._prepared(request)

    def prepare(self, request: QwenRequest) -> PreparedInput:
        assert self.encoding.wait(WAIT)
        return self._prepared(request)

    def _prepared(self, request: QwenRequest) -> PreparedInput:
        if request.text == self.breaks_on:
            raise RuntimeError("no such word")
        embeddings = torch.zeros(self.prompts.get(request.options.seed or 0, PROMPT), 2)
        embeddings[0] = torch.tensor([float(request.text_tokens), float(request.options.seed or 0)])
        return PreparedInput(Prompt(embeddings, torch.zeros(0, 2)), SamplingParams(), None)


class LateCopy(AsyncCopy):
    """Is ready after so many polls; `wait` needs no poll."""

    def __init__(self, tensor: Tensor, polls: int) -> None:
        super().__init__(tensor)
        self._polls_left = polls

    @property
    def is_ready(self) -> bool:
        self._polls_left -= 1
        return self._polls_left < 0


class LostCopy(AsyncCopy):
    """Fails, as after an error of the GPU."""

    def wait(self) -> np.ndarray:
        raise RuntimeError("an illegal memory access was encountered")


@dataclass
class FakeStepper:
    slots: int
    positions: int = 100
    ends: bool = True
    issued_ahead: int = 0
    """Frames for which a stream may be stepped after its end."""
    stuck: dict[int, int] = field(default_factory=dict)
    """Key -> the frame from which on the stream repeats its codes."""
    silent: dict[int, int] = field(default_factory=dict)
    """Key -> the frame from which on the stream is silent."""
    breaks: Exception | None = None
    steps: list[list[int]] = field(default_factory=list)
    """The keys of each batch."""
    prefills: list[tuple[int, dict[int, int]]] = field(default_factory=list)
    """For each prefill: the number of steps before it, and the tokens by key."""
    gate: threading.Semaphore | None = None
    """If given, each step acquires it."""
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    made: dict[int, list[int]] = field(default_factory=dict)
    """Slot -> key, frames of the stream, frames made, tokens that are not prefilled."""

    def open(self, slot: int, prompt: Prompt, sampling: SamplingParams) -> None:
        assert 0 <= slot < self.slots
        assert slot not in self.made
        frames, key = (int(value) for value in prompt.embeddings[0])
        self.made[slot] = [key, frames, 0, len(prompt.embeddings)]

    def unprefilled(self, slot: int) -> int:
        return self.made[slot][3]

    def prefill(self, tokens_by_slot: Mapping[int, int]) -> None:
        assert tokens_by_slot
        for slot, tokens in tokens_by_slot.items():
            assert 0 < tokens <= self.made[slot][3]
            self.made[slot][3] -= tokens
        self.prefills.append((len(self.steps), {self.made[slot][0]: tokens for slot, tokens in tokens_by_slot.items()}))

    def step(self, slots: Sequence[int]) -> Frames:
        assert len(set(slots)) == len(slots) > 0
        self.began.release()
        if self.gate:
            assert self.gate.acquire(timeout=WAIT)
        self.steps.append([self.made[slot][0] for slot in slots])
        if self.breaks:
            raise self.breaks
        codes, ended = [], []
        for slot in slots:
            key, frames, made, unprefilled = self.made[slot]
            assert not unprefilled, "stepped before its prompt was read"
            assert made <= frames + self.issued_ahead or not self.ends, "stepped after its end"
            assert PROMPT + made < self.positions, "stepped beyond its slot"
            row = codes_of(key, min(made, self.stuck.get(key, made)))
            codes.append([row[0], *[0] * 15] if made >= self.silent.get(key, made + 1) else row)
            ended.append(self.ends and made == frames)
            self.made[slot][2] += 1
        return Frames(torch.tensor(codes), torch.tensor(ended))

    def release(self, slot: int) -> None:
        del self.made[slot]


@dataclass
class FakeCodec:
    breaks_on_key: int | None = None
    level: float | None = None
    """If given, the level of all audio."""
    copy: Callable[[Tensor], AsyncCopy] = AsyncCopy
    """Copies the audio to the host."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Streams and frames of each batch."""
    frames: dict[int, int] = field(default_factory=dict)

    def reset(self, slot: int, state: object = None) -> None:
        self.frames[slot] = 0

    def decode(self, slots: Sequence[int], codes: np.ndarray) -> AsyncCopy:
        assert len(set(slots)) == len(slots) > 0
        self.sizes.append((codes.shape[0], codes.shape[1]))
        rows = []
        for slot, row in zip(slots, codes.tolist(), strict=True):
            if self.breaks_on_key is not None and row[0] == codes_of(self.breaks_on_key, 0):
                raise RuntimeError("out of memory")
            start = self.frames[slot]
            self.frames[slot] += len(row)
            levels = [self._level(frame, start + index) for index, frame in enumerate(row)]
            rows.append(np.repeat(np.array(levels, np.float32), 1920))
        return self.copy(torch.from_numpy(np.stack(rows)))

    def _level(self, codes: list[int], frame: int) -> float:
        if not any(codes[1:]):
            return 0.0
        return _level(sum(codes), frame) if self.level is None else self.level
