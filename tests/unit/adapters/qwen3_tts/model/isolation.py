"""Streams that run together. Each must equal its solo run."""

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


class SoloRun(NamedTuple):
    """A stream, and the codes (frames, 16) of its solo run in plain torch."""

    prompt: Prompt
    sampling: SamplingParams
    codes: Tensor


def streams_of(oracle: Oracle, checkpoint: str) -> list[SoloRun]:
    """Return streams of one checkpoint with different prompts and parameters."""
    cases = [case for case in CASES.values() if case.checkpoint == checkpoint]
    prompts = [oracle.prompt(each, streaming_text=streaming) for each in cases for streaming in (True, False)]
    streams = zip(prompts, [*SAMPLINGS.values(), GREEDY], strict=False)
    return [SoloRun(prompt, sampling, oracle.codes(prompt, sampling, frames=TOKENS)) for prompt, sampling in streams]


def run_together(stepper: FrameStepper, streams: Sequence[SoloRun], random: Random) -> None:
    """Open, prefill, step and release all streams at random, and compare each with its solo run."""
    waiting = random.sample(range(len(streams)), len(streams))
    wanted = {stream: random.randint(0, TOKENS) for stream in waiting}  # the stream is released after so many
    running: dict[int, int] = {}
    drawn: dict[int, list[Tensor]] = {stream: [] for stream in waiting}
    while waiting or running:
        while waiting and len(running) < stepper.slots and (not running or random.random() < 0.5):
            slot = random.choice([slot for slot in range(stepper.slots) if slot not in running])
            running[slot] = waiting.pop()
            stepper.open(slot, *streams[running[slot]][:2])
        prefilling = [slot for slot in running if stepper.unprefilled(slot)]
        chunks = {slot: random.randint(1, stepper.unprefilled(slot)) for slot in prefilling if random.random() < 0.7}
        left = {slot: stepper.unprefilled(slot) - chunks.get(slot, 0) for slot in prefilling}
        stepper.prefill(chunks)
        assert {slot: stepper.unprefilled(slot) for slot in prefilling} == left
        decodable = [slot for slot in running if not stepper.unprefilled(slot)]
        if not decodable:
            continue
        slots = random.sample(decodable, random.randint(1, len(decodable)))
        frames = stepper.step(slots)
        for slot, codes, ended in zip(slots, frames.codes.clone(), frames.ended.tolist(), strict=True):
            if not ended:
                drawn[running[slot]].append(codes)
            if ended or len(drawn[running[slot]]) >= wanted[running[slot]]:
                stepper.release(slot)
                del running[slot]
    for stream, frames_of in drawn.items():
        expected = streams[stream].codes
        assert len(frames_of) == min(len(expected), max(1, wanted[stream]))
        assert torch.equal(torch.stack(frames_of), expected[: len(frames_of)])
