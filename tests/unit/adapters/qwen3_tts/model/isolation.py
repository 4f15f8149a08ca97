"""Streams that speak together, each of which must be what it is alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.model.prompt import Prompt
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from tests.unit.adapters.qwen3_tts.oracle import CASES, GREEDY, Oracle

TOKENS = 14
SAMPLINGS = {
    "as the reference does by default": SamplingParams(seed=1),
    "few candidates, hot": SamplingParams(
        top_k=5, temperature=1.4, subtalker_top_k=3, subtalker_temperature=1.2, seed=2
    ),
    "top-p without top-k": SamplingParams(top_k=0, top_p=0.7, subtalker_top_k=0, subtalker_top_p=0.5, seed=3),
    "top-p and top-k": SamplingParams(top_k=100, top_p=0.9, subtalker_top_k=20, subtalker_top_p=0.8, seed=-4),
    "a strong penalty": SamplingParams(repetition_penalty=1.7, temperature=0.6, seed=2**70),
    "only codebook 0": SamplingParams(subtalker_dosample=False, seed=6),
    "all but codebook 0": SamplingParams(do_sample=False, seed=7),
}


class Alone(NamedTuple):
    """A stream, and its codes (frames, 16) when nobody else speaks, in plain torch."""

    prompt: Prompt
    sampling: SamplingParams
    codes: Tensor


def streams_of(oracle: Oracle, checkpoint: str) -> list[Alone]:
    """Streams of one checkpoint with different prompts and parameters."""
    cases = [case for case in CASES.values() if case.checkpoint == checkpoint]
    prompts = [oracle.prompt(each, streaming_text=streaming) for each in cases for streaming in (True, False)]
    streams = zip(prompts, [*SAMPLINGS.values(), GREEDY], strict=False)
    return [Alone(prompt, sampling, oracle.codes(prompt, sampling, frames=TOKENS)) for prompt, sampling in streams]


def speak_in_company(stepper: FrameStepper, streams: Sequence[Alone], random: Random) -> None:
    """Have all of them join, read, speak and leave at random, and compare each with itself alone."""
    waiting = random.sample(range(len(streams)), len(streams))
    wanted = {stream: random.randint(0, TOKENS) for stream in waiting}  # then its caller has gone
    running: dict[int, int] = {}
    spoken: dict[int, list[Tensor]] = {stream: [] for stream in waiting}
    while waiting or running:
        while waiting and len(running) < stepper.slots and (not running or random.random() < 0.5):
            slot = random.choice([slot for slot in range(stepper.slots) if slot not in running])
            running[slot] = waiting.pop()
            stepper.open(slot, *streams[running[slot]][:2])
        reading = [slot for slot in running if stepper.unprefilled(slot)]
        portions = {slot: random.randint(1, stepper.unprefilled(slot)) for slot in reading if random.random() < 0.7}
        left = {slot: stepper.unprefilled(slot) - portions.get(slot, 0) for slot in reading}
        stepper.prefill(portions)
        assert {slot: stepper.unprefilled(slot) for slot in reading} == left
        speaking = [slot for slot in running if not stepper.unprefilled(slot)]
        if not speaking:
            continue
        slots = random.sample(speaking, random.randint(1, len(speaking)))
        frames = stepper.step(slots)
        for slot, codes, ended in zip(slots, frames.codes.clone(), frames.ended.tolist(), strict=True):
            if not ended:
                spoken[running[slot]].append(codes)
            if ended or len(spoken[running[slot]]) >= wanted[running[slot]]:
                stepper.release(slot)
                del running[slot]
    for stream, frames_of in spoken.items():
        expected = streams[stream].codes
        assert len(frames_of) == min(len(expected), max(1, wanted[stream]))
        assert torch.equal(torch.stack(frames_of), expected[: len(frames_of)])
