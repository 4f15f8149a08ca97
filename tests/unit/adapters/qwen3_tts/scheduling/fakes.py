"""A model in the test's hands: as many frames as the text has words, codes and audio that tell whose they are.

They stand in for the stepper and the codec, refuse what those could not do, and prove nothing about the model.
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
from adapters.triton.speech import SpeechRequest
from tritone.contract import SpeechDescription
from tritone.errors import InvalidInput

WAIT = 20
DESCRIPTION = SpeechDescription((), ("en",), "", (1.0, 1.0))
PROMPT = 5
"""Positions of a prompt, if it is not said otherwise."""


def codes_of(key: int, frame: int) -> list[int]:
    """The codes of a frame of the checked `key`."""
    return [(key * 131 + frame * 17 + book) % 997 for book in range(16)]


def audio_of(key: int, frames: int) -> np.ndarray:
    """The audio of the first frames of the checked `key`: it depends on each frame's codes and place."""
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
    """Not set: preparing waits for it."""
    new_voices: frozenset[int] = frozenset()
    """The keys of utterances in voices that must first be taken from a collector."""
    encoding: threading.Event = field(default_factory=threading.Event)
    """That waits for it."""

    def check(self, asked: SpeechRequest) -> QwenRequest:
        if asked.text == "?":
            raise InvalidInput("text", "is a question")
        limit = asked.options.max_new_tokens
        return QwenRequest(
            text=asked.text, text_tokens=len(asked.text.split()), speaker="", language="auto", instruct="",
            reference=None, reference_text=None, options=asked.options, max_tokens=limit or 64,
            limit_reason="length" if limit else "runaway",
        )  # fmt: skip

    def prepare_if_cached(self, checked: QwenRequest) -> PreparedInput | None:
        if self.held:
            assert self.held.wait(WAIT)
        return None if checked.options.seed in self.new_voices else self._prepared(checked)

    def prepare(self, checked: QwenRequest) -> PreparedInput:
        assert self.encoding.wait(WAIT)
        return self._prepared(checked)

    def _prepared(self, checked: QwenRequest) -> PreparedInput:
        if checked.text == self.breaks_on:
            raise RuntimeError("no such word")
        embeddings = torch.zeros(self.prompts.get(checked.options.seed or 0, PROMPT), 2)
        embeddings[0] = torch.tensor([float(checked.text_tokens), float(checked.options.seed or 0)])
        return PreparedInput(Prompt(embeddings, torch.zeros(0, 2)), SamplingParams(), None)


class LateCopy(AsyncCopy):
    """Has is_ready when it has been asked for so many times; `wait` does not need to ask."""

    def __init__(self, tensor: Tensor, polls: int) -> None:
        super().__init__(tensor)
        self._polls_left = polls

    @property
    def is_ready(self) -> bool:
        self._polls_left -= 1
        return self._polls_left < 0


class LostCopy(AsyncCopy):
    """Will never arrive."""

    def wait(self) -> np.ndarray:
        raise RuntimeError("an illegal memory access was encountered")


@dataclass
class FakeStepper:
    slots: int
    positions: int = 100
    ends: bool = True
    issued_ahead: int = 0
    """How many frames a stream may be stepped after its end."""
    stuck: dict[int, int] = field(default_factory=dict)
    """Key -> the frame from which on it draws the same codes for ever."""
    silent: dict[int, int] = field(default_factory=dict)
    """Key -> the frame from which on it draws codes of silence."""
    breaks: Exception | None = None
    steps: list[list[int]] = field(default_factory=list)
    """The keys in each batch."""
    prefills: list[tuple[int, dict[int, int]]] = field(default_factory=list)
    """How many steps had been made before each reading, and which keys read how many tokens."""
    gate: threading.Semaphore | None = None
    """If given, each step takes one of it."""
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    made: dict[int, list[int]] = field(default_factory=dict)
    """Slot -> key, frames that it comes to, frames made, tokens still to be read."""

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
    """If given, all audio has it."""
    copy: Callable[[Tensor], AsyncCopy] = AsyncCopy
    """How audio reaches the host."""
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
